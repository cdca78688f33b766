import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { settingsPage } from "../src/settings/settings-page.ts";

test("docs/settings.md is what the tables of settings say", async () => {
  const page = await readFile(join(import.meta.dirname, "../docs/settings.md"), "utf8");
  expect(page, "npm run generate writes it").toBe(settingsPage());
});
