// Writes what an address of the web has to standard output.
require("http").get(process.argv[2], answer => answer.pipe(process.stdout));
