"""`secagg dap demo`: a whole deployment on this machine, and its report."""
