// Written for any Node that ever was: it has to run where the rest cannot, to say so.
var parts = process.versions.node.split(".");
var major = Number(parts[0]);
var minor = Number(parts[1]);
if (major < 22 || (major === 22 && minor < 19)) {
  console.error(
    "Flowcall needs Node 22.19 or newer; this is Node " +
      process.versions.node +
      " (" +
      process.execPath +
      ").\n" +
      "`npm ci` installs a matching Node into node_modules and npm scripts use it. It is missing here: either the\n" +
      "optional dependency `node` was left out (npm ci --omit=optional), or install scripts are off\n" +
      "(npm ci --ignore-scripts), or there is no build for this platform.\n" +
      "Run `npm ci` without these, or install Node 22.19 or newer."
  );
  process.exit(1);
}
