// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Stacks walked in the kernel are those that the program sees itself: programs built in several
 * ways (tests/targets/stack_*.c) say what backtrace() gives at a place where a uprobe walks too.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../support/stack_run.h"

static const char *const programs[] = {"stack_plain", "stack_fp", "stack_static"};

static void test_scenes(void **state)
{
	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct target t;

		target__start(&t, programs[i]);
		walker__open(&t, 0, 0);
		attach_to(i == 1 ? w.skel->progs.walk_sleepable : w.skel->progs.walk, false, -1,
			  t.path, "stack_mark");
		check_scene(&t, "levels", 9);
		check_scene(&t, "aligned", 9);
		check_scene(&t, "deep 30", 35);
		check_scene(&t, "deep 39", 44);
		for (int d = 40; d < 46; d++) {
			char scene[16];

			snprintf(scene, sizeof(scene), "deep %d", d);
			check_scene(&t, scene, 44);
		}
		check_scene(&t, "deep 200", 200);
		check_scene(&t, "qsort 5", 10);
		check_scene(&t, "qsort 64", 10);
		check_scene(&t, "thread", 7);
		check_scene(&t, "signal", 10);
		check_scene(&t, "sigaltstack", 10);
		check_scene(&t, "trap", 9);
		check_scene(&t, "noreturn", 9);
		/* A child that nobody told of has its parent's tables. */
		check_scene(&t, "fork", 9);
		assert_int_not_equal(w.hits[0].tgid, t.pid);
		assert_int_equal(counters().stacks_broken, 0);
		assert_int_equal(counters().stacks_lost, 0);
		assert_true(counters().stacks_truncated >= 1);
		walker__close();
		target__stop(&t);
	}
}

static void libc_of(const struct target *t, char path[PATH_MAX])
{
	struct maps m;

	strcpy(path, t->path); /* static */
	assert_int_equal(maps__read(&m, t->pid, true), 0);
	for (size_t i = 0; i < m.n; i++)
		if (strstr(m.map[i].path, "/libc.so."))
			snprintf(path, PATH_MAX, "%s", m.map[i].path);
	maps__free(&m);
}

static struct target callers_of(const struct target *t, size_t from)
{
	struct target rest = *t;

	rest.n_seen -= from;
	memmove(rest.seen, rest.seen + from, rest.n_seen * sizeof(*rest.seen));
	return rest;
}

/*
 * All hits are in the function that is at `at` in the chain. While a frame is being realigned, its
 * CFA is in a register that the walk does not have: number of hits there, which end at once.
 */
static size_t check_hits(const struct target *t, const char *what, size_t at, bool aligned)
{
	struct target rest = callers_of(t, at);
	uint64_t pc[STACK_FRAMES];
	size_t broken = 0;
	uint32_t flags;

	for (size_t h = 0; h < w.n_hits; h++) {
		if (aligned && unwinder__stack(w.u, w.hits[h].id, pc, &flags) == 1 &&
		    flags == STACK_BROKEN)
			broken++;
		else
			check_stack(what, &rest, &w.hits[h], 1);
	}
	return broken;
}

/* At whatever instruction: the row is that of the very instruction. */
static void test_every_instruction(void **state)
{
	static const char *const own[] = {"stack_mark",	  "stack_level3",  "stack_level2",
					  "stack_level1", "stack_aligned", "stack_aligned_plain"};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct target t;
		size_t probes = 0, broken = 0;

		target__start(&t, programs[i]);
		walker__open(&t, 0, 0);
		for (size_t k = 0; k < 6; k++) {
			bool aligned = k >= 4;
			/* Its place in the chain: mark, level3, level2, level1 or the aligned. */
			size_t at = aligned ? k - 2 : k;

			probes += attach_to_all(t.pid, t.path, own[k]);
			walker__play(&t, aligned ? "aligned" : "levels");
			assert_true(w.n_hits >= 4);
			broken += check_hits(&t, own[k], at, aligned);
			walker__detach();
		}
		assert_true(probes > 20);
		assert_true(broken <= 20);
		assert_int_equal(counters().stacks_broken, broken);
		walker__close();
		target__stop(&t);
	}
}

/* The C library has no frame pointers. Probes at every instruction of its allocator's entries. */
static void test_allocator(void **state)
{
	static const char *const names[] = {"malloc", "free", "calloc", "realloc"};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		char libc[PATH_MAX];
		struct target t;

		target__start(&t, programs[i]);
		walker__open(&t, 0, 0);
		libc_of(&t, libc);
		for (size_t k = 0; k < 4; k++) {
			size_t n = attach_to_all(t.pid, libc, names[k]);
			size_t checked = 0;

			assert_true(n > 2);
			walker__play(&t, "alloc");
			for (size_t h = 0; h < w.n_hits; h++) {
				uint64_t pc[STACK_FRAMES];
				uint32_t flags;

				/* Who calls it for reasons of its own (stdio) has other frames. */
				n = unwinder__stack(w.u, w.hits[h].id, pc, &flags);
				if (n > 2 && pc[1] > t.seen[1] && pc[1] < t.seen[1] + 200) {
					check_stack(names[k], &t, &w.hits[h], 2);
					checked++;
				}
			}
			if (checked < 4)
				fail_msg("%s: %zu of %zu walks are for stack_alloc", names[k],
					 checked, w.n_hits);
			walker__detach();
		}
		assert_int_equal(counters().stacks_broken, 0);
		walker__close();
		target__stop(&t);
	}
}

static void test_fault(void **state)
{
	size_t found = 0;
	struct target t;

	(void)state;
	target__start(&t, "stack_plain");
	walker__open(&t, 0, 0);
	w.skel->bss->targ_tgid = (uint32_t)t.pid;
	w.links[w.n_links] = bpf_program__attach(w.skel->progs.walk_fault);
	assert_non_null(w.links[w.n_links++]);
	walker__play(&t, "touch");
	for (size_t h = 0; h < w.n_hits; h++) {
		if ((w.hits[h].cookie & 0xfff) != 100)
			continue;
		/* In stack_touch, which called the mark: one frame less. */
		struct target rest = callers_of(&t, 1);

		check_stack("touch", &rest, &w.hits[h], 1);
		found++;
	}
	assert_int_equal(found, 1);
	walker__close();
	target__stop(&t);
}

/* A library that was opened since is walked through once the mappings were read again. */
static void test_dlopen(void **state)
{
	uint64_t pc[STACK_FRAMES];
	uint32_t flags;
	struct target t;

	(void)state;
	target__start(&t, "stack_plain");
	walker__open(&t, 0, 0);
	attach_to(w.skel->progs.walk, false, t.pid, t.path, "stack_mark");
	target__play(&t, "load");
	walker__play(&t, "plugin");
	assert_int_equal(w.n_hits, 1);
	/* Before: as far as is known, and not further. */
	assert_int_equal(unwinder__stack(w.u, w.hits[0].id, pc, &flags), 2);
	assert_int_equal(pc[1], t.seen[1]);
	assert_int_equal(flags, STACK_BROKEN);
	assert_int_equal(counters().stacks_broken, 1);
	assert_int_equal(unwinder__refresh(w.u, t.pid), 0);
	check_scene(&t, "plugin", 8);
	assert_int_equal(counters().stacks_broken, 1);
	target__stop(&t);
	assert_int_equal(unwinder__refresh(w.u, t.pid), -ESRCH);
	walker__close();
}

/* Return probes replace return addresses on the stack; the walk sees the true ones. */
static void test_return_probes(void **state)
{
	uint64_t pc[STACK_FRAMES];
	struct target t, want;
	uint32_t flags;
	size_t n;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		target__start(&t, programs[i]);
		walker__open(&t, 0, 0);
		target__play(&t, "levels");
		want = t;
		attach_to(w.skel->progs.walk, false, t.pid, t.path, "stack_mark");
		attach_to(w.skel->progs.nothing_return, true, t.pid, t.path, "stack_mark");
		attach_to(w.skel->progs.nothing_return, true, t.pid, t.path, "stack_level3");
		attach_to(w.skel->progs.nothing_return, true, t.pid, t.path, "stack_level2");
		attach_to(w.skel->progs.walk_return, true, t.pid, t.path, "stack_level2");
		attach_to(w.skel->progs.nothing_return, true, t.pid, t.path, "stack_play");
		walker__play(&t, "levels");
		assert_int_equal(w.n_hits, 2);
		check_stack("entry", &want, &w.hits[0], 1);
		/* At level2's return: in level1, from its true return address on. */
		want = callers_of(&want, 3);
		assert_int_equal(w.hits[1].pc, want.seen[0]);
		check_stack("return", &want, &w.hits[1], 0);
		walker__detach();

		/* As many as are known to a walk, then more: it ends there and says so. */
		target__play(&t, "deep 14");
		want = t;
		attach_to(w.skel->progs.walk, false, t.pid, t.path, "stack_mark");
		attach_to(w.skel->progs.nothing_return, true, t.pid, t.path, "stack_deep");
		walker__play(&t, "deep 14");
		check_stack("deep 14", &want, &w.hits[0], 1);
		assert_int_equal(counters().stacks_broken, 0);
		walker__play(&t, "deep 40");
		n = unwinder__stack(w.u, w.hits[0].id, pc, &flags);
		assert_int_equal(flags, STACK_BROKEN);
		assert_int_equal(n, STACK_RETURNS + 2);
		assert_int_equal(counters().stacks_broken, 1);
		walker__close();
		target__stop(&t);
	}
}

/* Signal frames on another stack, below which return probes are pending on the first. */
static void test_return_probes_below_signal(void **state)
{
	static const char *const scenes[] = {"signal", "sigaltstack", "trap"};
	struct target t, want;

	(void)state;
	target__start(&t, "stack_plain");
	walker__open(&t, 0, 0);
	for (size_t i = 0; i < 3; i++) {
		target__play(&t, scenes[i]);
		want = t;
		attach_to(w.skel->progs.walk, false, t.pid, t.path, "stack_mark");
		attach_to(w.skel->progs.nothing_return, true, t.pid, t.path, "stack_level2");
		attach_to(w.skel->progs.nothing_return, true, t.pid, t.path, "stack_signal");
		attach_to(w.skel->progs.nothing_return, true, t.pid, t.path, "stack_trap");
		walker__play(&t, scenes[i]);
		check_stack(scenes[i], &want, &w.hits[0], 1);
		walker__detach();
	}
	walker__close();
	target__stop(&t);
}

/* Many threads at once: every walk is counted and whole, and the stacks are few. */
static void test_storm(void **state)
{
	uint32_t n = 0, flags;
	uint64_t key, *prev = NULL, ids[64] = {0}, pc[STACK_FRAMES];
	struct target t;

	(void)state;
	target__start(&t, "stack_plain");
	walker__open(&t, 0, 0);
	attach_to(w.skel->progs.cost_walk, false, t.pid, t.path, "stack_hot");
	target__play(&t, "storm");
	while (!bpf_map_get_next_key(bpf_map__fd(w.skel->maps.stacks), prev, &key)) {
		assert_true(n < 64);
		ids[n++] = key;
		prev = &ids[n - 1];
	}
	assert_int_equal(n, 8);
	for (uint32_t i = 0; i < n; i++) {
		size_t frames = unwinder__stack(w.u, ids[i], pc, &flags);

		assert_int_equal(flags, 0);
		assert_true(frames >= 5 && frames <= 12);
	}
	uint64_t walks = 0, busy = 0;

	for (uint32_t i = 0; i < bpf_map__max_entries(w.skel->maps.stack_lanes); i++) {
		struct stack_lane lane;

		assert_int_equal(
			bpf_map_lookup_elem(bpf_map__fd(w.skel->maps.stack_lanes), &i, &lane), 0);
		walks += lane.acct.walks;
		busy += lane.busy;
		assert_int_equal(lane.claimed, 0);
	}
	assert_int_equal(walks + busy, 8 * 4000);
	assert_int_equal(counters().stacks_lost, busy);
	walker__close();
	target__stop(&t);
}

static void claim_lanes(uint32_t n, uint64_t claimed)
{
	int fd = bpf_map__fd(w.skel->maps.stack_lanes);
	struct stack_lane lane;

	for (uint32_t i = 0; i < bpf_map__max_entries(w.skel->maps.stack_lanes); i++) {
		if (i % STACK_LANES >= n)
			continue;
		assert_int_equal(bpf_map_lookup_elem(fd, &i, &lane), 0);
		lane.claimed = claimed;
		assert_int_equal(bpf_map_update_elem(fd, &i, &lane, BPF_ANY), 0);
	}
}

/* As if other walks were under way on every CPU: they keep their scratch memory. */
static void test_lanes(void **state)
{
	struct target t;

	(void)state;
	target__start(&t, "stack_plain");
	walker__open(&t, 0, 0);
	attach_to(w.skel->progs.walk, false, t.pid, t.path, "stack_mark");
	for (uint32_t n = 0; n < STACK_LANES; n++) {
		claim_lanes(n, 1);
		check_scene(&t, "levels", 9);
		for (uint32_t i = 0; i < bpf_map__max_entries(w.skel->maps.stack_lanes); i++) {
			struct stack_lane lane;

			assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(w.skel->maps.stack_lanes),
							     &i, &lane),
					 0);
			/* Once on some CPU with n lanes less, and never before in this one. */
			assert_int_equal(lane.claimed, i % STACK_LANES < n);
			assert_true(i % STACK_LANES <= n || !lane.acct.walks);
		}
	}
	claim_lanes(STACK_LANES, 1);
	walker__play(&t, "levels");
	assert_int_equal(w.n_hits, 1);
	assert_int_equal(w.hits[0].id, 0);
	assert_int_equal(counters().stacks_lost, 1);
	claim_lanes(STACK_LANES, 0);
	check_scene(&t, "levels", 9);
	walker__close();
	target__stop(&t);
}

/* What does not fit is counted: stacks, rows. */
static void test_too_small(void **state)
{
	char scene[32];
	struct target t;

	(void)state;
	target__start(&t, "stack_plain");
	walker__open(&t, 4, 0);
	attach_to(w.skel->progs.walk, false, t.pid, t.path, "stack_mark");
	for (int i = 0; i < 10; i++) {
		snprintf(scene, sizeof(scene), "deep %d", i);
		walker__play(&t, scene);
		assert_int_equal(w.hits[0].id != 0, i < 4);
	}
	assert_int_equal(counters().stacks_lost, 6);
	walker__close();

	/* The program's own table has room, libc's has none. */
	walker__open(&t, 0, 1000);
	attach_to(w.skel->progs.walk, false, t.pid, t.path, "stack_mark");
	walker__play(&t, "deep 3");
	uint64_t pc[STACK_FRAMES];
	uint32_t flags;

	assert_true(unwinder__stack(w.u, w.hits[0].id, pc, &flags) >= 7);
	assert_memory_equal(pc + 1, t.seen + 1, 6 * sizeof(*pc));
	walker__close();
	target__stop(&t);
}

/* A process that is not known is walked by frame pointers. */
static void test_unknown_process(void **state)
{
	struct target known, t;
	uint64_t pc[STACK_FRAMES];
	uint32_t flags;

	(void)state;
	target__start(&known, "stack_plain");
	target__start(&t, "stack_fp");
	walker__open(&known, 0, 0);
	attach_to(w.skel->progs.walk, false, t.pid, t.path, "stack_mark");
	w.skel->bss->targ_ra_at_sp = 1;
	walker__play(&t, "levels");
	assert_int_equal(w.n_hits, 1);
	/* Ours have frame pointers; those of libc below main may hold anything. */
	assert_true(unwinder__stack(w.u, w.hits[0].id, pc, &flags) >= 6);
	assert_int_equal(pc[0], w.hits[0].pc);
	assert_memory_equal(pc + 1, t.seen + 1, 5 * sizeof(*pc));
	/* Without knowing where the return address is, the direct caller is passed over. */
	w.skel->bss->targ_ra_at_sp = 0;
	walker__play(&t, "levels");
	assert_true(unwinder__stack(w.u, w.hits[0].id, pc, &flags) >= 5);
	assert_memory_equal(pc + 1, t.seen + 2, 4 * sizeof(*pc));
	walker__close();
	target__stop(&t);
	target__stop(&known);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_scenes),
		cmocka_unit_test(test_every_instruction),
		cmocka_unit_test(test_allocator),
		cmocka_unit_test(test_fault),
		cmocka_unit_test(test_dlopen),
		cmocka_unit_test(test_return_probes),
		cmocka_unit_test(test_return_probes_below_signal),
		cmocka_unit_test(test_storm),
		cmocka_unit_test(test_lanes),
		cmocka_unit_test(test_too_small),
		cmocka_unit_test(test_unknown_process),
	};

	cmocka_set_test_filter(getenv("TEST_FILTER"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
