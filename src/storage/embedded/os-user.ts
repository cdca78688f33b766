import { readFile } from "node:fs/promises";
import { userInfo } from "node:os";

/** The operating system's user that Postgres runs as. */
export type OsUser = {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  /** Whether it is another user than ours, who then must own the files that the server writes. */
  readonly isOther: boolean;
};

/** Postgres refuses to run as root. Then it runs as `postgres`, or as `nobody` where that user is missing. */
export async function findOsUser(): Promise<OsUser> {
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
  throw new Error("Postgres refuses to run as root, and this machine has neither a user postgres nor a user nobody");
}

function ourUser() {
  try {
    return userInfo();
  } catch (error) {
    throw new Error("Postgres needs a user with a name, and the user that Flowcall runs as has none on this machine", {
      cause: error,
    });
  }
}
