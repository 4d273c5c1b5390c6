#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# What README.md says of kernels is what was recorded in virtual machines (tests/vm/run).

@test "README's table of kernels is what was recorded" {
	cd "$BATS_TEST_DIRNAME/../.."
	cp README.md "$BATS_TEST_TMPDIR/README.md"
	tests/vm/support "$BATS_TEST_TMPDIR/README.md"
	diff -u README.md "$BATS_TEST_TMPDIR/README.md"
	grep -q '^| 6.1' README.md
}
