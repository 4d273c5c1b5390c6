// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Cgroup v1 and v2 files, as kernels write them and as they do not, in directories of our own. */
#define _GNU_SOURCE
#include <errno.h>
#include <ftw.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "log.h"
#include "probe/memory.h"
#include "probe/memory_files.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static char top[] = "/tmp/hopscope-test-memory.XXXXXX";

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void wipe(const char *path)
{
	nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static int setup(void **state)
{
	(void)state;
	memcpy(top + strlen(top) - 6, "XXXXXX", 6);
	return mkdtemp(top) ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	wipe(top);
	return 0;
}

static const char *at(const char *path)
{
	static char full[4][600];
	static int i;

	i = (i + 1) % 4;
	snprintf(full[i], sizeof(full[i]), "%s%s", top, path);
	return full[i];
}

static void put(const char *dir, const char *name, const char *text)
{
	char path[700];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", at(dir), name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

/* A cgroup of v2 with a process in it, or without. */
static void make_v2(const char *dir, const char *current, const char *max, const char *procs)
{
	assert_int_equal(mkdir(at(dir), 0755), 0);
	put(dir, "memory.current", current);
	put(dir, "memory.max", max);
	put(dir, "memory.high", "max\n");
	put(dir, "cgroup.procs", procs);
	put(dir, "memory.stat",
	    "anon 4096\nfile 8192\nkernel 512\nkernel_stack 16\nsock 32\nshmem 64\n"
	    "inactive_anon 1\ninactive_file 1024\nslab 256\nworkingset_refault_anon 3\n"
	    "workingset_refault_file 4\n");
	put(dir, "memory.events", "low 0\nhigh 5\nmax 6\noom 7\noom_kill 8\noom_group_kill 0\n");
	put(dir, "memory.pressure",
	    "some avg10=0.00 avg60=0.00 avg300=0.00 total=1000000\n"
	    "full avg10=0.00 avg60=0.00 avg300=0.00 total=500000\n");
	put(dir, "memory.peak", "90000\n");
	put(dir, "memory.swap.current", "128\n");
}

static void test_v2(void **state)
{
	struct memory_reading r;

	(void)state;
	make_v2("/c", "20480\n", "max\n", "1\n22\n333\n");
	assert_int_equal(memory__read_cgroup(at("/c"), &r), 0);
	assert_true(r.current == 20480 && r.working_set == 20480 - 1024);
	assert_true(r.anon == 4096 && r.file == 8192 && r.shmem == 64 && r.inactive_file == 1024);
	assert_true(r.kernel == 512 && r.slab == 256 && r.sock == 32 && r.swap == 128);
	assert_true(r.refaults == 7 && r.peak == 90000 && r.processes == 3);
	assert_true(r.limit == MEMORY_NO_LIMIT && r.high == MEMORY_NO_LIMIT);
	assert_true(r.events_high == 5 && r.events_max == 6 && r.events_oom == 7 &&
		    r.events_oom_kill == 8);
	assert_true(isnan(r.pressure_some)); /* a share of the time needs two readings */
	assert_true(r.time_ns > 0);
}

static void test_v2_limits_of_ancestors(void **state)
{
	struct memory_reading r;

	(void)state;
	make_v2("/pod", "1\n", "1000000\n", "");
	make_v2("/pod/a", "1\n", "2000000\n", "");
	make_v2("/pod/a/b", "1\n", "max\n", "1\n");
	put("/pod/a", "memory.high", "700000\n");
	assert_int_equal(memory__read_cgroup(at("/pod/a/b"), &r), 0);
	assert_true(r.limit == 1000000 && r.high == 700000);
	put("/pod/a/b", "memory.max", "500000\n");
	assert_int_equal(memory__read_cgroup(at("/pod/a/b"), &r), 0);
	assert_true(r.limit == 500000);
}

static void test_v2_pressure_is_a_share(void **state)
{
	struct memory_files f;
	struct memory_reading r;

	(void)state;
	make_v2("/c", "1\n", "max\n", "1\n");
	memory_reading__init(&r);
	assert_int_equal(memory_files__open(&f, at("/c"), true), 0);
	assert_int_equal(memory_v2.read(&f, MEMORY_EVENTS, &r), 0);
	f.pressure_ns -= 10000000000u; /* ten seconds ago */
	put("/c", "memory.pressure",
	    "some avg10=0.00 avg60=0.00 avg300=0.00 total=6000000\n"
	    "full avg10=0.00 avg60=0.00 avg300=0.00 total=500000\n");
	assert_int_equal(memory_v2.read(&f, MEMORY_EVENTS, &r), 0);
	assert_true(fabs(r.pressure_some - 0.5) < 0.01 && r.pressure_full == 0);
	memory_files__close(&f);
}

/* Older kernels lack files and keys: then they are not known, and the rest is. */
static void test_v2_old(void **state)
{
	struct memory_reading r;

	(void)state;
	assert_int_equal(mkdir(at("/c"), 0755), 0);
	put("/c", "memory.current", "4096\n");
	put("/c", "memory.stat", "anon 1000\nfile 2000\nworkingset_refault 9\n");
	assert_int_equal(memory__read_cgroup(at("/c"), &r), 0);
	assert_true(r.current == 4096 && r.anon == 1000 && r.refaults == 9);
	assert_true(r.kernel == MEMORY_NOT_KNOWN && r.peak == MEMORY_NOT_KNOWN &&
		    r.swap == MEMORY_NOT_KNOWN && r.events_max == MEMORY_NOT_KNOWN &&
		    r.processes == MEMORY_NOT_KNOWN && r.limit == MEMORY_NO_LIMIT);
	assert_true(r.working_set == 4096 && r.inactive_file == MEMORY_NOT_KNOWN);
}

static void test_v1(void **state)
{
	struct memory_reading r;

	(void)state;
	assert_int_equal(mkdir(at("/c"), 0755), 0);
	put("/c", "memory.usage_in_bytes", "20480\n");
	put("/c", "memory.stat",
	    "cache 1\nrss 2\nshmem 3\nswap 4\ninactive_file 5\nhierarchical_memory_limit 65536\n"
	    "hierarchical_memsw_limit 9223372036854771712\ntotal_cache 8192\ntotal_rss 4096\n"
	    "total_shmem 64\ntotal_swap 128\ntotal_workingset_refault_anon 3\n"
	    "total_workingset_refault_file 4\ntotal_inactive_file 1024\n");
	put("/c", "memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n");
	put("/c", "memory.failcnt", "11\n");
	put("/c", "memory.max_usage_in_bytes", "10000\n");
	put("/c", "memory.kmem.usage_in_bytes", "512\n");
	put("/c", "memory.kmem.tcp.usage_in_bytes", "32\n");
	put("/c", "cgroup.procs", "1\n");
	assert_int_equal(memory__read_cgroup(at("/c"), &r), 0);
	assert_true(r.current == 20480 && r.working_set == 20480 - 1024 && r.anon == 4096);
	assert_true(r.file == 8192 && r.shmem == 64 && r.swap == 128 && r.refaults == 7);
	assert_true(r.kernel == 512 && r.sock == 32 && r.slab == MEMORY_NOT_KNOWN);
	assert_true(r.limit == 65536 && r.high == MEMORY_NO_LIMIT && r.processes == 1);
	assert_true(r.peak == 20480); /* read a moment apart: never below what is used */
	assert_true(r.events_oom_kill == 2 && r.events_max == 11 &&
		    r.events_high == MEMORY_NOT_KNOWN);
	put("/c", "memory.stat", "total_rss 1\nhierarchical_memory_limit 9223372036854771712\n");
	assert_int_equal(memory__read_cgroup(at("/c"), &r), 0);
	assert_true(r.limit == MEMORY_NO_LIMIT && r.file == MEMORY_NOT_KNOWN);
}

/* A file that does not fit is cut at a line's end: half a number is no number. */
static void test_cut(void **state)
{
	char *text = malloc(40000), *end = text;
	struct memory_reading r;

	(void)state;
	assert_non_null(text);
	while (end - text < 16370)
		end += sprintf(end, "x 1\n");
	sprintf(end, "anon 123456789012345678\n");
	make_v2("/cut", "4096\n", "max\n", "1\n");
	put("/cut", "memory.stat", text);
	assert_int_equal(memory__read_cgroup(at("/cut"), &r), 0);
	assert_true(r.anon == MEMORY_NOT_KNOWN);
	free(text);
}

static void test_bad_files(void **state)
{
	static const char *const texts[] = {
		"",
		"\n",
		" ",
		"anon",
		"anon ",
		"anon x\n",
		"anon -5\n",
		"anon 99999999999999999999\n",
		"\xff\xfe 1\n",
		"anon 1 2 3\nanon\n\n\n file 2",
	};
	struct memory_reading r;
	char *huge = malloc(100000);

	(void)state;
	assert_non_null(huge);
	memset(huge, 'x', 99999);
	huge[99999] = '\0';
	assert_int_equal(memory__read_cgroup(at("/none"), &r), -ENODATA);
	make_v2("/c", "1\n", "max\n", "1\n");
	for (size_t i = 0; i <= sizeof(texts) / sizeof(texts[0]); i++) {
		const char *text = i < sizeof(texts) / sizeof(texts[0]) ? texts[i] : huge;

		put("/c", "memory.stat", text);
		put("/c", "memory.current", text);
		put("/c", "memory.events", text);
		put("/c", "memory.pressure", text);
		put("/c", "memory.max", text);
		put("/c", "memory.peak", text);
		memory__read_cgroup(at("/c"), &r);
		assert_true(r.file == MEMORY_NOT_KNOWN && r.slab == MEMORY_NOT_KNOWN);
	}
	free(huge);
}

/* ---- the list of containers, in a tree that is no cgroup hierarchy */

static const struct memory_snapshot *read_once(struct memory *m)
{
	const struct memory_snapshot *s = NULL;

	assert_int_equal(memory__read(m, &s), 0);
	return s;
}

static const struct memory_container *find(const struct memory_snapshot *s, const char *path)
{
	const struct memory_container *found = NULL;

	for (size_t i = 0; i < s->n; i++)
		if (!strcmp(s->containers[i].path, path) && !(found && s->containers[i].gone))
			found = &s->containers[i];
	return found;
}

static void make_tree(void)
{
	put("", "cgroup.procs", "");
	make_v2("/plain", "1\n", "max\n", "1\n");
	make_v2("/empty", "1\n", "max\n", "");
	make_v2("/inner", "1\n", "max\n", "");
	make_v2("/inner/leaf", "1\n", "1000000\n", "5\n");
	make_v2("/docker", "1\n", "max\n", "");
	make_v2("/docker/" ID, "1\n", "max\n", "");
	make_v2("/docker/" ID "/init", "1\n", "max\n", "7\n"); /* systemd in a container */
}

static struct memory *open_tree(const struct memory_opts *o)
{
	struct memory_opts with = *o;
	struct memory *m = NULL;

	with.mount = top;
	with.host_root = top; /* no names from this host */
	assert_int_equal(memory__open(&m, &with), 0);
	return m;
}

static void test_what_is_shown(void **state)
{
	struct memory_opts o = {0};
	const struct memory_snapshot *s;
	struct memory *m;

	(void)state;
	make_tree();
	m = open_tree(&o);
	s = read_once(m);
	assert_string_equal(s->hierarchy, "v2");
	assert_true(find(s, "/plain") && find(s, "/inner/leaf") && find(s, "/docker/" ID));
	assert_int_equal(s->n, 3);
	assert_true(find(s, "/inner/leaf")->last.limit == 1000000);
	memory__close(m);
	o.all = true;
	m = open_tree(&o);
	assert_int_equal(read_once(m)->n, 7);
	memory__close(m);
}

static void test_filters(void **state)
{
	struct memory_opts o = {.cgroups = {"inner/"}, .n_cgroups = 1};
	const struct memory_snapshot *s;
	struct memory *m;

	(void)state;
	make_tree();
	make_v2("/inner2", "1\n", "max\n", "1\n"); /* not below /inner */
	m = open_tree(&o);
	s = read_once(m);
	assert_true(s->n == 1 && find(s, "/inner/leaf"));
	memory__close(m);
	o = (struct memory_opts){.containers = {"012345"}, .n_containers = 1};
	m = open_tree(&o);
	s = read_once(m);
	assert_true(s->n == 1 && find(s, "/docker/" ID));
	memory__close(m);
	o.pods[o.n_pods++] = "none";
	m = open_tree(&o);
	assert_int_equal(read_once(m)->n, 0);
	memory__close(m);
}

static void test_comes_goes_and_restarts(void **state)
{
	struct memory_opts o = {0};
	const struct memory_snapshot *s;
	struct memory *m;

	(void)state;
	make_tree();
	m = open_tree(&o);
	read_once(m);
	make_v2("/late", "1\n", "max\n", "9\n");
	put("/empty", "cgroup.procs", "3\n");
	s = read_once(m);
	assert_int_equal(s->n, 5);
	assert_true(find(s, "/late") && find(s, "/empty"));
	wipe(at("/late"));
	s = read_once(m);
	assert_true(find(s, "/late")->gone && !find(s, "/plain")->gone);
	/* Another file in between, so that the directory gets another inode. */
	put("", "between", "");
	make_v2("/late", "1\n", "max\n", "10\n");
	s = read_once(m);
	assert_true(!find(s, "/late")->gone);
	assert_int_equal(find(s, "/late")->restarts, 1);
	assert_int_equal(s->n, 6);
	memory__close(m);
}

/* Without events the counter tells of a kill, and the reading before it is the black box. */
static void test_kill_by_counter(void **state)
{
	struct memory_opts o = {.cgroups = {"/plain"}, .n_cgroups = 1};
	const struct memory_container *c;
	struct memory *m;

	(void)state;
	make_tree();
	put("/plain", "memory.current", "5000\n");
	m = open_tree(&o);
	assert_int_equal(read_once(m)->containers[0].n_kills, 0);
	put("/plain", "memory.events", "low 0\nhigh 5\nmax 6\noom 7\noom_kill 10\n");
	put("/plain", "memory.current", "100\n");
	c = &read_once(m)->containers[0];
	assert_true(c->n_kills == 2 && c->findings == FINDING_OOM_KILL);
	assert_true(c->kills[0].pid == 0 && c->kills[0].before.current == 5000);
	c = &read_once(m)->containers[0];
	assert_int_equal(c->n_kills, 2);
	memory__close(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_v2, setup, teardown),
		cmocka_unit_test_setup_teardown(test_v2_limits_of_ancestors, setup, teardown),
		cmocka_unit_test_setup_teardown(test_v2_pressure_is_a_share, setup, teardown),
		cmocka_unit_test_setup_teardown(test_v2_old, setup, teardown),
		cmocka_unit_test_setup_teardown(test_v1, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_files, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cut, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_is_shown, setup, teardown),
		cmocka_unit_test_setup_teardown(test_filters, setup, teardown),
		cmocka_unit_test_setup_teardown(test_comes_goes_and_restarts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_kill_by_counter, setup, teardown),
	};

	log_quiet = true;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
