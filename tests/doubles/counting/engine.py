"""`python -m engine` with the job."""

import sys

import counting.message  # noqa: F401  (to define the job is to add it)
from engine.__main__ import main

if __name__ == "__main__":
    sys.exit(main())
