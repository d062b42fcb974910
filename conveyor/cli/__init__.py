"""The command line: `app` leads from arguments to an exit code, `commands` holds one module a command."""
