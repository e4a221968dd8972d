"""The test API of draft-dcook-ppm-dap-interop-test-design-07, for all four roles: other programs' test runners drive
ours.

Whoever reaches it adds tasks, with secrets of their choice. So it is off unless it is asked for, and on loopback only.

The draft was written for DAP-09, which binds no task configuration. Fields that it lacks have the names that Janus
gives them: `batch_mode`, `max_measurement`, `task_start`, `task_end`, and in all roles `helper`, `min_batch_size` and
`time_precision`. `task_info` is "task-info", as Janus' is.
"""
