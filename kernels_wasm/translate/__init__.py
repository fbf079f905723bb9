"""From one plain Python function to JavaScript: pure Python, which runs in the page as it runs here.

Only `source.run`, the specification of tests and of the forge, executes a program, and no server calls it.
"""
