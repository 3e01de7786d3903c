"""``python -m dashscribe``."""

from dashscribe.cli import main

main()
