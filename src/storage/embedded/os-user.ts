import { readFile } from "node:fs/promises";
import { userInfo } from "node:os";

/** The user of the operating system that the database runs as. */
export type Account = {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  /** Whether it is another user than ours: then what we make must be given to it. */
  readonly isOther: boolean;
};

/** Postgres refuses to run as root: there it runs as `postgres`, or as `nobody` where that user is missing. */
export async function databaseAccount(): Promise<Account> {
  const ours = ourUser();
  if (ours.uid !== 0) {
    return { name: ours.username, uid: ours.uid, gid: ours.gid, isOther: false };
  }
  const users = await readFile("/etc/passwd", "utf8");
  for (const name of ["postgres", "nobody"]) {
    const entry = new RegExp(`^${name}:[^:]*:(\\d+):(\\d+):`, "m").exec(users);
    if (entry !== null) {
      return { name, uid: Number(entry[1]), gid: Number(entry[2]), isOther: true };
    }
  }
  throw new Error("Postgres does not run as root, and this machine has neither a user postgres nor a user nobody");
}

function ourUser() {
  try {
    return userInfo();
  } catch (error) {
    throw new Error("Postgres runs for users with a name only, and the one that Flowcall runs as has none here", {
      cause: error,
    });
  }
}
