"""Planted mutants: small faults in the package, each with the tests that must fail for it.

`python -m tests.mutants` plants one after the other and runs its tests; a mutant that survives shows a test that is
missing. Nothing on disk is changed: a module is edited while it is imported.

An edit names module, function, and the expression or statement that is replaced, and finds it in the syntax tree of
that function. So lines may move and comments may change, and an edit that no longer applies is an error. To add a
mutant, add it to the table of its subject. One that changes nothing that can be observed does not count.
"""
