// Written for any Node that ever was: it has to run where the rest cannot, to say so.
var parts = process.versions.node.split(".");
var major = Number(parts[0]);
if (major < 22 || (major === 22 && Number(parts[1]) < 19)) {
  console.error(
    "Flowcall needs Node 22.19 or newer; this is Node " +
      process.versions.node +
      " (" +
      process.execPath +
      "). Install a newer Node, or put it first in PATH."
  );
  process.exit(1);
}
