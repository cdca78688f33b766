import { accountGet } from "./account/account-get.ts";
import { accountLs } from "./account/account-ls.ts";
import { accountPut } from "./account/account-put.ts";
import { accountRm } from "./account/account-rm.ts";
import type { Command } from "./command/command.ts";
import type { CommandGroup, CommandText } from "./command-line/command-text.ts";
import { completeText } from "./command-line/completion.ts";
import { dev } from "./dev/dev.ts";
import { get } from "./execution/get.ts";
import { ls } from "./execution/ls.ts";
import { rerun } from "./execution/rerun.ts";
import { resume } from "./execution/resume.ts";
import { retry } from "./execution/retry.ts";
import { run } from "./execution/run.ts";
import { stop } from "./execution/stop.ts";
import { watch } from "./execution/watch.ts";
import { importRefold } from "./import/import-refold.ts";
import { integrationLs } from "./integration/integration-ls.ts";
import { integrationPut } from "./integration/integration-put.ts";
import { keyCreate } from "./key/key-create.ts";
import { keyLs } from "./key/key-ls.ts";
import { keyRevoke } from "./key/key-revoke.ts";
import { keyRotate } from "./key/key-rotate.ts";
import { profileAdd } from "./profile/profile-add.ts";
import { profileLs } from "./profile/profile-ls.ts";
import { profileRm } from "./profile/profile-rm.ts";
import { profileUse } from "./profile/profile-use.ts";
import {
  scheduleGet,
  schedulePause,
  scheduleResume,
  scheduleRm,
  scheduleTrigger,
} from "./schedule/schedule-changes.ts";
import { scheduleLs } from "./schedule/schedule-ls.ts";
import { schedulePut } from "./schedule/schedule-put.ts";
import { api } from "./server/api.ts";
import { doctor } from "./server/doctor.ts";
import { status } from "./server/status.ts";
import { variableLs, variableRm } from "./variable/variable-changes.ts";
import { variablePut } from "./variable/variable-put.ts";
import {
  webhookDeliveries,
  webhookGet,
  webhookLs,
  webhookRedeliver,
  webhookRm,
  webhookRotate,
} from "./webhook/webhook-commands.ts";
import { webhookPut } from "./webhook/webhook-put.ts";
import { diff } from "./workflow/diff.ts";
import { publish } from "./workflow/publish.ts";
import { pull } from "./workflow/pull.ts";
import { push } from "./workflow/push.ts";
import { restore } from "./workflow/restore.ts";
import { unpublish } from "./workflow/unpublish.ts";
import { validate } from "./workflow/validate.ts";
import { versions } from "./workflow/versions.ts";
import { workflowGet } from "./workflow/workflow-get.ts";
import { workflowLs } from "./workflow/workflow-ls.ts";
import { workflowNew } from "./workflow/workflow-new.ts";
import { workflowRm } from "./workflow/workflow-rm.ts";
import { workflowTest } from "./workflow/workflow-test.ts";

/** Every command, in the order in which help lists them. */
export const commandGroups: readonly CommandGroup<Command>[] = [
  { title: "Executions", commands: [run, watch, ls, get, stop, resume, rerun, retry] },
  {
    title: "Workflows",
    commands: [
      dev,
      workflowNew,
      importRefold,
      push,
      pull,
      diff,
      validate,
      workflowTest,
      publish,
      unpublish,
      restore,
      versions,
      workflowLs,
      workflowGet,
      workflowRm,
    ],
  },
  {
    title: "Integrations and accounts",
    commands: [integrationPut, integrationLs, accountPut, accountGet, accountLs, accountRm],
  },
  {
    title: "Variables",
    commands: [variablePut, variableLs, variableRm],
  },
  {
    title: "Schedules",
    commands: [schedulePut, scheduleLs, scheduleGet, schedulePause, scheduleResume, scheduleTrigger, scheduleRm],
  },
  {
    title: "Webhooks",
    commands: [webhookPut, webhookLs, webhookGet, webhookRotate, webhookDeliveries, webhookRedeliver, webhookRm],
  },
  { title: "Keys", commands: [keyCreate, keyLs, keyRotate, keyRevoke] },
  { title: "This machine", commands: [profileAdd, profileUse, profileLs, profileRm, status, doctor, api] },
];

export const commands: readonly Command[] = commandGroups.flatMap((group) => group.commands);

/** Commands that runCli answers itself, without a server. */
const builtIns: readonly CommandText[] = [
  completeText,
  {
    name: "help",
    summary: "Lists all commands, or shows the help of one.",
    positionals: ["COMMAND...?"],
    options: {},
    example: "flowcall help workflow push",
  },
];

/** All commands with the built-in ones, for help and completion. */
export const helpGroups: readonly CommandGroup<CommandText>[] = [
  ...commandGroups,
  { title: "The command line", commands: builtIns },
];
