"""Writes what an address of the web has to standard output, by the standard library."""

import sys
import urllib.request

sys.stdout.buffer.write(urllib.request.urlopen(sys.argv[1]).read())
