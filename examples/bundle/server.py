"""What a host of the bundle starts: mcp-llama over stdin and stdout, with the options of the environment."""

import sys

from mcp_llama.cli import main

sys.argv[1:] = ["stdio"]
main()
