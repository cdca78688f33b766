// Written for any Node that ever was: it has to run where the rest cannot, to say so.
var fs = require("fs");
var path = require("path");

var prefix = process.platform === "darwin" && process.arch === "arm64" ? "node-bin-" : "node-";
var packageName = prefix + process.platform + "-" + process.arch;
var modules = path.join(__dirname, "node_modules");
var link = path.join(modules, ".bin", "node");

// npm 10 removes the link of the installed Node together with those of the Nodes for other platforms. Whoever calls this
// goes on with `exec env node` and not `node`: a shell remembers where it found the latter before the link was there, and
// one that does not give its place away (exec) ends at a signal of npm's and leaves the program running.
if (!fs.existsSync(link) && fs.existsSync(path.join(modules, packageName, "bin", "node"))) {
  try {
    fs.symlinkSync(path.join("..", packageName, "bin", "node"), link);
  } catch (error) {
    // A folder that may not be written. Another npm script may have made the link at the same moment.
  }
}

var parts = process.versions.node.split(".");
var major = Number(parts[0]);
var minor = Number(parts[1]);
if ((major < 22 || (major === 22 && minor < 19)) && !fs.existsSync(link)) {
  console.error(
    "Flowcall needs Node 22.19 or newer; this is Node " +
      process.versions.node +
      " (" +
      process.execPath +
      ").\n" +
      "`npm ci` installs a matching Node into node_modules and npm scripts use it. It is missing here: either the\n" +
      "optional dependency `" +
      packageName +
      "` was left out (npm ci --omit=optional), or there is none for this platform,\n" +
      "or node_modules may not be written.\n" +
      "Run `npm ci` without that, or install Node 22.19 or newer."
  );
  process.exit(1);
}
