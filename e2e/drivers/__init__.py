"""Browser drivers behind one protocol: Playwright (Chromium, Firefox) and Selenium (WebKitGTK)."""
