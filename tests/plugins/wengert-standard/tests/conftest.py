pytest_plugins = ["wengert.testing.pytest"]
