// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* heap --pages on real processes whose pages are known: what each site holds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../support/pages_run.h"

static void known_sizes(const char *target)
{
	open_sampled(target, 1);
	target__do(&t, "map 3000");
	target__do(&t, "malloc 2000");
	target__do(&t, "read 1500");
	read_now();
	assert_held("map_touch", 3000);
	/* The block's first page has malloc's own header. */
	assert_in_range((uint64_t)(held_by(t.pid, "big_malloc").bytes / PAGE), 1999, 2001);
	assert_held("read_into", 1500);
	assert_held("touch_again", 0);
	assert_closes();
	assert_int_equal(r.counters.blocks_lost, 0);
	assert_int_equal(r.counters.stacks_lost, 0);
	assert_true(r.counters.faults >= 6500);
	assert_true(r.probe_hits >= r.counters.faults);
	for (size_t i = 0; i < r.n_sites; i++) {
		if (!r.sites[i].bytes)
			continue;
		assert_true(r.sites[i].oldest_ns && r.sites[i].oldest_ns <= r.time_ns);
		assert_true(r.sites[i].youngest_ns >= r.sites[i].oldest_ns);
		assert_true(r.sites[i].bytes_error == 0);
		assert_true(r.sites[i].n_pcs >= 2);
	}
}

static void test_known_sizes(void **state)
{
	(void)state;
	known_sizes("pages_target");
}

static void test_static(void **state)
{
	(void)state;
	known_sizes("pages_static");
}

static void test_frame_pointers_only(void **state)
{
	(void)state;
	known_sizes("pages_frames");
}

static void test_given_back(void **state)
{
	(void)state;
	open_sampled("pages_target", 1);
	target__do(&t, "map 4000");
	target__do(&t, "half");
	read_now();
	assert_held("map_touch", 2000);
	assert_true(held_by(t.pid, "map_touch").total == 4000 * PAGE);
	target__do(&t, "map 1000");
	target__do(&t, "dontneed");
	read_now();
	assert_held("map_touch", 2000);
	/* The same addresses, another writer. */
	target__do(&t, "again");
	read_now();
	assert_held("map_touch", 2000);
	assert_held("touch_again", 1000);
	assert_closes();
}

static void test_reads_hold_nothing(void **state)
{
	(void)state;
	open_sampled("pages_target", 1);
	target__do(&t, "readonly 2000");
	read_now();
	assert_held("read_only", 0);
	assert_closes();
	target__do(&t, "again");
	read_now();
	assert_held("read_only", 0);
	assert_held("touch_again", 2000);
	/* Given back, read, and written to by another function: not the first writer's any more. */
	target__do(&t, "map 500");
	target__do(&t, "dontneed");
	target__do(&t, "look");
	read_now();
	assert_held("map_touch", 0);
	target__do(&t, "again");
	read_now();
	assert_held("map_touch", 0);
	assert_held("touch_again", 2500);
	assert_closes();
}

/* The page tables move, no fault comes: the size is right, nobody is blamed. */
static void test_moved(void **state)
{
	double before;

	(void)state;
	open_sampled("pages_target", 1);
	target__do(&t, "map 2000");
	read_now();
	before = r.unattributed_bytes;
	target__do(&t, "move");
	read_now();
	assert_held("map_touch", 0);
	assert_true(r.unattributed_bytes - before >= 2000 * PAGE);
	assert_closes();
}

static void test_threads(void **state)
{
	(void)state;
	open_sampled("pages_target", 1);
	target__do(&t, "threads 8000");
	read_now();
	assert_held("thread_touch", 8000);
	assert_closes();
}

static void test_sampled(void **state)
{
	struct held map, malloced;

	(void)state;
	open_sampled("pages_target", 16);
	target__do(&t, "map 30000");
	target__do(&t, "malloc 10000");
	read_now();
	map = held_by(t.pid, "map_touch");
	malloced = held_by(t.pid, "big_malloc");
	printf("# 30000 pages: %.0f +- %.0f; 10000: %.0f +- %.0f\n", map.bytes / PAGE,
	       map.error / PAGE, malloced.bytes / PAGE, malloced.error / PAGE);
	/* One in 15,000 runs is beyond four errors. */
	assert_true(fabs(map.bytes - 30000 * PAGE) < 4 * map.error);
	assert_true(fabs(malloced.bytes - 10000 * PAGE) < 4 * malloced.error);
	assert_true(map.error > 0 && map.error < 0.05 * map.bytes);
	/* 40000 / 16 faults of the sample: give or take 6 sigma. */
	assert_in_range(r.counters.faults, 2200, 2950);
	assert_true(pages__sample_bytes(p) == 16 * PAGE);
	assert_closes();
}

/*
 * Totals are of ordinary pages, one in N: the first pages of what could have been huge, which are
 * followed beside them, would add one in eight.
 */
static void test_sampled_totals(void **state)
{
	const double faults = 8 * 30000, every = 64;
	double got, error;

	(void)state;
	open_sampled("pages_target", (uint32_t)every);
	for (int i = 0; i < 8; i++) {
		target__do(&t, "map 30000"); /* at another place than what was given back */
		target__do(&t, "dontneed");
	}
	read_now();
	got = held_by(t.pid, "map_touch").total / PAGE;
	error = sqrt(faults * (every - 1));
	printf("# %.0f faults: %.0f +- %.0f\n", faults, got, error);
	assert_true(fabs(got - faults) < 4 * error && 4 * error < faults / 8);
	assert_held("map_touch", 0);
}

/* Are the stated errors those that are made? Eight samples of the same sites. */
static void test_stated_error(void **state)
{
	double sq = 0;
	int n = 0;

	(void)state;
	for (int i = 0; i < 8; i++) {
		open_sampled("pages_target", 16);
		target__do(&t, "map 1500");
		target__do(&t, "malloc 500");
		target__do(&t, "read 1000");
		read_now();
		for (int k = 0; k < 3; k++) {
			static const char *const names[] = {"map_touch", "big_malloc", "read_into"};
			static const double pages[] = {1500, 500, 1000};
			struct held h = held_by(t.pid, names[k]);
			double z = (h.bytes - pages[k] * PAGE) / h.error;

			sq += z * z;
			n++;
		}
		assert_closes();
		teardown(NULL);
	}
	/* 24 figures, of which two in three are independent: chi-squared, 16 degrees. */
	printf("# mean square of errors in units of what was stated: %.2f\n", sq / n);
	assert_true(sq / n > 0.2 && sq / n < 3);
}

static bool huge_pages(void)
{
	char line[128] = "";
	FILE *f = fopen("/sys/kernel/mm/transparent_hugepage/enabled", "r");

	if (f && !fgets(line, sizeof(line), f))
		line[0] = '\0';
	if (f)
		fclose(f);
	return line[0] && !strstr(line, "[never]");
}

static void test_huge(void **state)
{
	(void)state;
	if (!huge_pages()) {
		printf("this kernel has transparent huge pages switched off\n");
		skip();
	}
	open_sampled("pages_target", 1);
	target__do(&t, "huge 20");
	target__do(&t, "map 1000");
	read_now();
	assert_true(held_by(t.pid, "huge_touch").bytes == 20 * HUGE);
	assert_held("map_touch", 1000);
	assert_closes();
}

/* Half are touched at their beginning: certain. The others are one in N. */
static void test_huge_sampled(void **state)
{
	struct held h;

	(void)state;
	if (!huge_pages()) {
		printf("this kernel has transparent huge pages switched off\n");
		skip();
	}
	open_sampled("pages_target", 4);
	target__do(&t, "huge 200");
	read_now();
	h = held_by(t.pid, "huge_touch");
	printf("# 200 huge pages: %.1f +- %.1f\n", h.bytes / HUGE, h.error / HUGE);
	assert_true(h.bytes >= 100 * HUGE);
	assert_true(fabs(h.bytes - 200 * HUGE) < 4 * h.error + HUGE);
	assert_closes();
}

/*
 * What the label says. Two sites in turns share pages as they share bytes. Where one site's buffers
 * go ahead of the other's small objects, the buffers are blamed; what is as large as a page is its
 * own site's.
 */
static void test_blame(void **state)
{
	static const size_t sizes[] = {64, 512, 4096, 65536};
	char what[32];

	(void)state;
	for (size_t i = 0; i < 2 * sizeof(sizes) / sizeof(sizes[0]); i++) {
		size_t size = sizes[i / 2];
		bool turns = i % 2;
		double a, b, all;

		open_sampled("pages_target", 1);
		snprintf(what, sizeof(what), "%s %zu", turns ? "objects" : "leak", size);
		target__do(&t, what);
		read_now();
		a = held_by(t.pid, "objects_a").bytes;
		b = held_by(t.pid, turns ? "objects_b" : "scratch").bytes;
		all = held_by(t.pid, NULL).bytes;
		printf("# objects of %zu bytes, %s: %.1f %% and %.1f %% of %.1f MB\n", size,
		       turns ? "75 % and 25 %" : "100 % and a buffer's 0 %", a / all * 100,
		       b / all * 100, all / 1e6);
		assert_true((a + b) / all > 0.95);
		if (turns && size >= 4096) {
			assert_true(fabs(a / all - 0.75) < 0.02);
			assert_true(fabs(b / all - 0.25) < 0.02);
		}
		if (!turns && size >= 65536)
			assert_true(a / all > 0.9);
		assert_closes();
		teardown(NULL);
	}
}

/* As on kernels before 6.7: the same figures. */
static void test_without_ioctl(void **state)
{
	struct pages_opts opts = {.n_pids = 1, .sample = 1, .no_ioctl = true};

	(void)state;
	target__start(&t, "pages_target");
	opts.pids[0] = t.pid;
	assert_int_equal(pages__open(&p, &opts), 0);
	target__do(&t, "map 3000");
	target__do(&t, "half");
	target__do(&t, "readonly 4000"); /* beside it: one mapping with pages and zero pages */
	if (huge_pages())
		target__do(&t, "huge 10");
	read_now();
	assert_held("map_touch", 1500);
	assert_held("read_only", 0);
	if (huge_pages())
		assert_true(held_by(t.pid, "huge_touch").bytes == 10 * HUGE);
	assert_closes();
}

/* ---- redis-server, by a known number of SETs */

#define REDIS_KEYS  60000
#define REDIS_VALUE 1000

static int redis__connect(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	for (int i = 0; i < 500; i++) {
		if (!connect(fd, (struct sockaddr *)&a, sizeof(a)))
			return fd;
		usleep(10000);
	}
	close(fd);
	return -1;
}

static bool redis__set_all(int fd)
{
	static char value[REDIS_VALUE + 1], request[REDIS_VALUE + 128], answer[8];

	memset(value, 'x', REDIS_VALUE);
	for (int i = 0; i < REDIS_KEYS; i++) {
		int n = snprintf(request, sizeof(request),
				 "*3\r\n$3\r\nSET\r\n$10\r\nkey:%06d\r\n$%d\r\n%s\r\n", i,
				 REDIS_VALUE, value);

		if (write(fd, request, (size_t)n) != n || recv(fd, answer, 5, MSG_WAITALL) != 5 ||
		    memcmp(answer, "+OK\r\n", 5))
			return false;
	}
	return true;
}

static void test_redis(void **state)
{
	char dir[] = "/tmp/pages-redis.XXXXXX", sock[64];
	struct pages_opts opts = {.n_pids = 1};
	struct held h;
	bool done = false;
	int fd;

	(void)state;
	if (access("/usr/bin/redis-server", X_OK)) {
		printf("redis-server is not installed\n");
		skip();
	}
	assert_non_null(mkdtemp(dir));
	snprintf(sock, sizeof(sock), "%s/sock", dir);
	t.pid = fork();
	if (!t.pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (!freopen("/dev/null", "w", stdout))
			_exit(127);
		execl("/usr/bin/redis-server", "redis-server", "--port", "0", "--unixsocket", sock,
		      "--dir", dir, "--save", "", NULL);
		_exit(127);
	}
	opts.pids[0] = t.pid;
	fd = redis__connect(sock);
	if (fd >= 0 && !pages__open(&p, &opts))
		done = redis__set_all(fd) && !pages__read(p, &r);
	if (done) {
		h = held_by(t.pid, NULL);
		printf("# %d SETs of %d bytes: %.1f +- %.1f MB attributed, %.1f not, RssAnon "
		       "%.1f\n",
		       REDIS_KEYS, REDIS_VALUE, h.bytes / 1e6, h.error / 1e6,
		       r.unattributed_bytes / 1e6, status_kb(t.pid, "RssAnon") / 1e6);
		assert_closes();
		assert_true(h.bytes > (double)REDIS_KEYS * REDIS_VALUE * 0.97);
		assert_true(h.bytes < (double)REDIS_KEYS * REDIS_VALUE * 1.6);
	}
	close(fd);
	kill(t.pid, SIGKILL);
	waitpid(t.pid, NULL, 0);
	t.pid = 0;
	unlink(sock);
	rmdir(dir);
	assert_true(done);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_known_sizes, teardown),
		cmocka_unit_test_teardown(test_static, teardown),
		cmocka_unit_test_teardown(test_frame_pointers_only, teardown),
		cmocka_unit_test_teardown(test_given_back, teardown),
		cmocka_unit_test_teardown(test_reads_hold_nothing, teardown),
		cmocka_unit_test_teardown(test_moved, teardown),
		cmocka_unit_test_teardown(test_threads, teardown),
		cmocka_unit_test_teardown(test_sampled, teardown),
		cmocka_unit_test_teardown(test_sampled_totals, teardown),
		cmocka_unit_test_teardown(test_stated_error, teardown),
		cmocka_unit_test_teardown(test_huge, teardown),
		cmocka_unit_test_teardown(test_huge_sampled, teardown),
		cmocka_unit_test_teardown(test_blame, teardown),
		cmocka_unit_test_teardown(test_without_ioctl, teardown),
		cmocka_unit_test_teardown(test_redis, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
