//! The mission of the quickstart: a tea timer.

/// spec.md
pub(crate) const SPEC: &str = "\
# Tea timer

People forget their tea. A small timer reminds them, and knows that green tea is not black tea.

## Functional requirements

| id | title | description |
|---|---|---|
| FR-001 | Start | Starting the timer with the name of a tea counts down the time of that tea |
| FR-002 | Ring | When the time is over the timer rings until it is stopped |

## Non-functional requirements

| id | title | description |
|---|---|---|
| NFR-001 | Exact | The bell rings within one second of the end of the time |
";

/// plan.md
pub(crate) const PLAN: &str = "\
# Plan: tea timer

## Technical CommandContext

**Language/Version**: Rust 1.95
**Storage**: none; the times of the teas are constants
**Testing**: a fake clock

## Steps

One work package: the countdown, the bell, and the table of teas.
";

/// tasks.md
pub(crate) const TASKS: &str = "\
# Tasks: tea timer

## WP01 Steep

Requirement Refs: FR-001, FR-002

- [ ] T001 Count down
- [ ] T002 Ring
";

/// tasks/WP01-steep.md
pub(crate) const WORK_PACKAGE: &str = "\
---
work_package_id: WP01
title: Steep
dependencies: []
requirement_refs:
- FR-001
- FR-002
subtasks:
- T001
- T002
execution_mode: code_change
owned_files:
- src/timer.rs
authoritative_surface: src/timer.rs
---

# Steep

Count down the time of the tea, then ring.
";
