"""The Pyodide side: consent, benchmark, report, update, and the operations a page may call."""
