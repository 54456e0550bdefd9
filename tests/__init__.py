"""A package, for others use the name as well: gmqtt's wheel installs a `tests` that would hide this one."""
