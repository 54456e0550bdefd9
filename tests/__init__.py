"""A package with a name that others use as well: gmqtt's wheel, for one, installs a `tests` that would hide this one."""
