// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* heap --pages: processes that fork, exec and end; tables that are full; what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../support/pages_run.h"

static void test_before_attach(void **state)
{
	struct pages_opts opts = {.n_pids = 1, .sample = 1};

	(void)state;
	target__start(&t, "pages_target");
	target__do(&t, "map 3000");
	opts.pids[0] = t.pid;
	assert_int_equal(pages__open(&p, &opts), 0);
	target__do(&t, "malloc 100");
	read_now();
	assert_held("map_touch", 0);
	assert_true(r.unattributed_bytes >= 3000 * PAGE);
	assert_closes();
}

static void test_fork(void **state)
{
	pid_t child;

	(void)state;
	open_sampled("pages_target", 1);
	target__do(&t, "map 4000");
	child = target__do(&t, "fork");
	read_now();
	assert_held("map_touch", 4000);
	assert_true(held_by(child, "touch_again").bytes == 2000 * PAGE);
	assert_true(held_by(child, "map_touch").bytes == 0);
	/* The parent writes to what it shares, or shared: the memory is still its first writer's.
	 */
	target__do(&t, "again");
	read_now();
	assert_held("map_touch", 4000);
	assert_held("touch_again", 0);
	target__do(&t, "endchild");
	assert_int_equal(pages__tend(p), 0);
	read_now();
	assert_true(held_by(child, NULL).bytes == 0);
	assert_int_equal(r.counters.processes_ended, 1);
	assert_closes();
}

/* More than are followed at once. What has ended takes no room, and leaves nothing. */
static void test_many_forks(void **state)
{
	pid_t child;

	(void)state;
	open_sampled("pages_target", 16);
	target__do(&t, "map 400");
	target__do(&t, "forks 5000");
	read_now();
	assert_int_equal(r.counters.forks_lost, 0);
	assert_int_equal(r.counters.blocks_lost, 0);
	assert_int_equal(r.counters.processes_ended, 5000);
	for (size_t i = 0; i < r.n_sites; i++)
		assert_int_equal(r.sites[i].tgid, t.pid);
	assert_closes();
	child = target__do(&t, "fork");
	read_now();
	assert_true(held_by(child, "touch_again").bytes > 0);
}

static void target__exec(struct target *t)
{
	fprintf(t->in, "exec\n");
	fflush(t->in);
	target__learn(t);
}

/*
 * The new program's pages lie where the old one's were, and are not taken for them. Twice, so that
 * the old one's start was seen, too: its data is where the new one's is.
 */
static void test_exec(void **state)
{
	uint64_t before;

	(void)state;
	same_addresses = true;
	open_sampled("pages_target", 1);
	same_addresses = false;
	target__exec(&t);
	target__do(&t, "map 4000");
	read_now();
	assert_true(held_by(t.pid, "map_touch").total == 4000 * PAGE);
	before = r.time_ns;
	target__exec(&t);
	assert_int_equal(pages__tend(p), 0);
	read_now();
	assert_held("map_touch", 0);
	assert_true(held_by(t.pid, "map_touch").total == 0);
	assert_int_equal(r.counters.processes_ended, 2);
	target__do(&t, "readonly 3000");
	target__do(&t, "again");
	target__do(&t, "map 1000");
	read_now();
	assert_held("map_touch", 1000);
	assert_held("touch_again", 3000);
	assert_true(held_by(t.pid, "map_touch").total == 1000 * PAGE);
	for (size_t i = 0; i < r.n_sites; i++)
		assert_true(!r.sites[i].bytes || r.sites[i].oldest_ns > before);
	assert_closes();
	/* The new program's own total stays. */
	target__do(&t, "dontneed");
	read_now();
	assert_held("map_touch", 0);
	assert_true(held_by(t.pid, "map_touch").total == 1000 * PAGE);
}

static void test_ended(void **state)
{
	pid_t pid;

	(void)state;
	open_sampled("pages_target", 1);
	target__do(&t, "map 1000");
	assert_int_equal(pages__tend(p), 0);
	pid = t.pid;
	read_now();
	target__end(&t);
	assert_int_equal(pages__tend(p), -ESRCH);
	read_now();
	assert_true(held_by(pid, NULL).bytes >= 1000 * PAGE);
}

/* A reading of its own was taken by pages__tend(). */
static void test_ended_unread(void **state)
{
	pid_t pid;

	(void)state;
	open_sampled("pages_target", 1);
	target__do(&t, "map 1000");
	assert_int_equal(pages__tend(p), 0);
	pid = t.pid;
	target__end(&t);
	assert_int_equal(pages__tend(p), -ESRCH);
	read_now();
	assert_true(held_by(pid, NULL).bytes >= 1000 * PAGE);
}

static void test_full(void **state)
{
	struct pages_opts opts = {.n_pids = 1, .sample = 1, .max_pages = 1000};

	(void)state;
	target__start(&t, "pages_target");
	opts.pids[0] = t.pid;
	assert_int_equal(pages__open(&p, &opts), 0);
	target__do(&t, "map 5000");
	read_now();
	/* Free entries are kept by CPU: a few may be left over. */
	assert_in_range((uint64_t)(held_by(t.pid, "map_touch").bytes / PAGE), 500, 1000);
	assert_in_range(r.counters.blocks_lost, 4000, 4600);
	assert_true(r.unattributed_bytes >= 4000 * PAGE);
	assert_closes();
	/* What is given back makes room. */
	target__do(&t, "dontneed");
	read_now();
	assert_held("map_touch", 0);
	target__do(&t, "map 400");
	read_now();
	assert_held("map_touch", 400);
}

static void test_refused(void **state)
{
	struct pages_opts opts = {.n_pids = 1};
	pid_t pid = fork();

	(void)state;
	if (!pid)
		_exit(0);
	waitpid(pid, NULL, 0);
	opts.pids[0] = pid;
	assert_int_equal(pages__open(&p, &opts), -ESRCH);
	assert_null(p);
	opts.pids[0] = -1;
	assert_int_equal(pages__open(&p, &opts), -ESRCH);
	opts.n_pids = 0;
	assert_int_equal(pages__open(&p, &opts), -EINVAL);
	opts.n_pids = 1;
	opts.pids[0] = getpid();
	pid = fork();
	if (!pid)
		_exit(setuid(65534) || pages__open(&p, &opts) != -EPERM);
	waitpid(pid, &opts.pids[0], 0);
	assert_int_equal(opts.pids[0], 0);
}

/* Other processes' faults leave no trace but in probe_hits. */
static void test_others(void **state)
{
	struct target other;

	(void)state;
	open_sampled("pages_target", 1);
	read_now();
	other = t;
	target__start(&t, "pages_target");
	target__do(&t, "map 3000");
	read_now();
	assert_true(held_by(t.pid, NULL).bytes == 0);
	assert_true(r.probe_hits >= 3000);
	for (size_t i = 0; i < r.n_sites; i++)
		assert_int_equal(r.sites[i].tgid, other.pid);
	target__end(&t);
	t = other;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_before_attach, teardown),
		cmocka_unit_test_teardown(test_fork, teardown),
		cmocka_unit_test_teardown(test_many_forks, teardown),
		cmocka_unit_test_teardown(test_exec, teardown),
		cmocka_unit_test_teardown(test_ended, teardown),
		cmocka_unit_test_teardown(test_ended_unread, teardown),
		cmocka_unit_test_teardown(test_full, teardown),
		cmocka_unit_test_teardown(test_refused, teardown),
		cmocka_unit_test_teardown(test_others, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
