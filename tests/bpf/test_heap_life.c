// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* heap --allocs over a process's life, with full tables, by samples, in a budget; and refusals. */
#include "../support/heap_run.h"

#include <sys/resource.h>
#include <sys/stat.h>

#include "probe/heap_internal.h"

#define LIB "/usr/lib/x86_64-linux-gnu/"

/* ---- what was there before */

static void test_before(void **state)
{
	struct heap_reading r;

	(void)state;
	target__start(&t, "alloc_kinds", NULL);
	target__do(&t, "before_fork");
	watch();
	target__do(&t, "free_inherited");
	target__do(&t, "malloc");
	read_it(&r);
	assert_true(reading__sum(&r, t.pid, NULL).bytes == (double)t.site[0].bytes);
	assert_int_equal(r.counters.frees_before, 30);
	assert_true(isnan(r.unattributed_bytes));
	assert_true(r.resident_bytes > 0);
	heap_reading__free(&r);
}

static void test_ages(void **state)
{
	struct heap_reading first, second;

	(void)state;
	target__start(&t, "alloc_kinds", NULL);
	watch();
	target__do(&t, "reuse");
	read_it(&first);
	usleep(300000);
	target__do(&t, "reuse");
	read_it(&second);
	for (size_t i = 0; i < second.n_sites; i++) {
		const struct heap_raw_site *s = &second.sites[i];

		if (s->blocks < 2)
			continue;
		assert_true(s->oldest_ns < first.time_ns);
		assert_true(s->youngest_ns > first.time_ns + 200000000);
		assert_true(s->youngest_ns <= second.time_ns);
	}
	assert_true(reading__sum(&second, t.pid, NULL).total_blocks == 40002);
	heap_reading__free(&first);
	heap_reading__free(&second);
}

/* ---- fork, exec, exit, dlopen */

static const struct told_site *told(const char *name)
{
	for (size_t i = 0; i < t.n; i++) {
		if (!strcmp(t.site[i].name, name))
			return &t.site[i];
	}
	fail_msg("the target tells nothing of %s", name);
	return NULL;
}

/* The child is known, and has inherited. */
static void wait_for_child(void)
{
	for (int i = 0; i < 200; i++) {
		struct heap_reading r;
		double blocks;

		assert_int_equal(heap__tend(h), 0);
		read_it(&r);
		blocks = reading__sum(&r, t.answers, NULL).blocks;
		heap_reading__free(&r);
		if (blocks)
			return;
		usleep(10000);
	}
	fail_msg("the child is not followed");
}

static void test_fork(void **state)
{
	struct told_site before;
	struct heap_reading r;

	(void)state;
	target__start(&t, "alloc_kinds", NULL);
	watch();
	target__do(&t, "before_fork");
	target__do(&t, "fork"); /* the parent frees 50, and waits */
	assert_int_not_equal(t.answers, t.pid);
	wait_for_child();
	assert_exact(h, &t);
	target__do(&t, "free_inherited");
	target__do(&t, "in_child");
	assert_exact(h, &t);
	before = *told("before_fork");
	assert_int_equal(before.blocks, 70);
	read_it(&r);
	assert_true(reading__sum(&r, t.pid, &before).bytes == 50000);
	heap_reading__free(&r);

	kill(t.answers, SIGKILL);
	t.answers = t.pid;
	target__read(&t); /* the parent goes on */
	assert_int_equal(heap__tend(h), 0);
	assert_exact(h, &t);
	read_it(&r);
	assert_int_equal(r.counters.processes_ended, 1);
	heap_reading__free(&r);
	target__do(&t, "malloc");
	assert_exact(h, &t);
}

/* Back to the parent. */
static void end_child(void)
{
	kill(t.answers, SIGKILL);
	t.answers = t.pid;
	target__read(&t);
}

static bool count_child(void *ctx, const struct heap_block_key *key, const struct heap_block *block)
{
	(void)block;
	*(size_t *)ctx += key->life != 1;
	return false;
}

/*
 * While nobody takes them in: more children than can wait. All end before they are known, and
 * leave nothing behind that the next would miss.
 */
static void test_forks_lost(void **state)
{
	struct heap_reading r;
	size_t left = 0;

	(void)state;
	target__start(&t, "alloc_kinds", NULL);
	watch();
	target__do(&t, "before_fork");
	pthread_mutex_lock(&h->lock);
	for (int i = 0; i < HEAP_MAX_HEIRS + 1; i++) {
		target__do(&t, "fork");
		end_child();
		target__do(&t, "before_fork");
	}
	assert_int_equal(h->skel->bss->n_heirs, HEAP_MAX_HEIRS + 1);
	pthread_mutex_unlock(&h->lock);
	assert_int_equal(heap__tend(h), 0);
	assert_int_equal(h->skel->bss->n_heirs, 0);
	assert_int_equal(heap__each_block(h, count_child, &left), 0);
	assert_int_equal(left, 0);
	read_it(&r);
	assert_int_equal(r.counters.forks_lost, 1);
	assert_int_equal(r.counters.processes_ended, HEAP_MAX_HEIRS + 1);
	heap_reading__free(&r);
	target__do(&t, "fork");
	wait_for_child();
	assert_exact(h, &t);
}

/* Children that are not in the table of processes are not followed, and that is said. */
static void test_processes_full(void **state)
{
	struct heap_process p = {.life = HEAP_MAX_LIFE};
	struct heap_reading r;
	uint32_t pid = 1u << 30;

	(void)state;
	target__start(&t, "alloc_kinds", NULL);
	watch();
	target__do(&t, "before_fork");
	pthread_mutex_lock(&h->lock);
	while (!bpf_map__update_elem(h->skel->maps.processes, &pid, sizeof(pid), &p, sizeof(p),
				     BPF_ANY))
		pid++;
	target__do(&t, "fork");
	assert_int_equal(h->skel->bss->n_heirs, 0);
	while (pid-- > 1u << 30)
		bpf_map__delete_elem(h->skel->maps.processes, &pid, sizeof(pid), 0);
	pthread_mutex_unlock(&h->lock);
	read_it(&r);
	assert_int_equal(r.counters.forks_lost, 1);
	heap_reading__free(&r);
	end_child();
	assert_exact(h, &t);
}

#define GENERATIONS 6

/* All of them become known at once: who was forked first inherits first. */
static void test_generations(void **state)
{
	pid_t pid[GENERATIONS];
	struct heap_reading r;

	(void)state;
	target__start(&t, "alloc_kinds", NULL);
	watch();
	target__do(&t, "malloc");
	pthread_mutex_lock(&h->lock);
	for (int i = 0; i < GENERATIONS; i++) {
		target__do(&t, "fork");
		pid[i] = t.answers;
	}
	pthread_mutex_unlock(&h->lock);
	wait_for_child();
	assert_exact(h, &t);
	read_it(&r);
	for (int i = 0; i < GENERATIONS; i++)
		assert_true(reading__sum(&r, pid[i], NULL).blocks ==
			    (double)told("by_malloc")->blocks);
	assert_int_equal(r.counters.forks_lost, 0);
	heap_reading__free(&r);
	for (int i = 0; i < GENERATIONS; i++)
		kill(pid[i], SIGKILL);
}

/* Its parent ended before it was known, and so what that was forked with: said. */
static void test_orphan(void **state)
{
	struct heap_reading r;
	pid_t between;

	(void)state;
	target__start(&t, "alloc_kinds", NULL);
	watch();
	target__do(&t, "malloc");
	pthread_mutex_lock(&h->lock);
	target__do(&t, "fork");
	between = t.answers;
	target__do(&t, "fork");
	kill(between, SIGKILL);
	usleep(100000);
	pthread_mutex_unlock(&h->lock);
	assert_int_equal(heap__tend(h), 0);
	read_it(&r);
	assert_int_equal(r.counters.forks_lost, 1);
	heap_reading__free(&r);
	assert_int_equal(h->skel->bss->n_heirs, 0);
}

/* Where there is no room for the child's sites its blocks are in that of all, until it ends. */
static void test_sites_full(void **state)
{
	unsigned long long bytes = 0, blocks = 0;
	struct heap_reading r;

	(void)state;
	target__start(&t, "alloc_kinds", NULL);
	watch_with((struct heap_opts){.max_stacks = 1});
	target__do(&t, "before_fork");
	target__do(&t, "calloc");
	target__do(&t, "reallocarray");
	read_it(&r);
	assert_int_equal(r.counters.sites_lost, 0);
	assert_int_equal(r.n_sites, 3);
	heap_reading__free(&r);
	target__do(&t, "fork");
	for (size_t i = 0; i < t.n; i++) {
		bytes += t.site[i].bytes;
		blocks += t.site[i].blocks;
	}
	for (int i = 0; h->skel->bss->n_heirs && i < 200; i++)
		usleep(10000);
	read_it(&r);
	assert_int_equal(r.counters.sites_lost, blocks);
	assert_int_equal(r.n_sites, 4);
	assert_int_equal(r.sites[0].tgid, 0);
	assert_true(r.sites[0].bytes == (double)bytes && r.sites[0].blocks == (double)blocks);
	heap_reading__free(&r);
	end_child();
	assert_int_equal(heap__tend(h), 0);
	read_it(&r);
	assert_int_equal(r.n_sites, 3);
	heap_reading__free(&r);
}

static void test_exec(void **state)
{
	struct heap_reading r;

	(void)state;
	target__start(&t, "alloc_kinds", NULL);
	watch();
	target__do(&t, "malloc");
	assert_exact(h, &t);
	target__do(&t, "exec");
	assert_int_equal(heap__tend(h), 0);
	read_it(&r);
	assert_int_equal(r.n_sites, 0);
	assert_int_equal(r.counters.processes_ended, 1);
	heap_reading__free(&r);
	target__do(&t, "calloc");
	target__do(&t, "realloc");
	assert_exact(h, &t);
}

static void test_exit(void **state)
{
	struct heap_reading r;

	(void)state;
	target__start(&t, "alloc_kinds", NULL);
	watch();
	target__do(&t, "malloc");
	kill(t.pid, SIGKILL);
	waitpid(t.pid, NULL, 0);
	t.pid = t.answers = 0;
	assert_int_equal(heap__tend(h), -ESRCH);
	read_it(&r);
	assert_int_equal(r.n_sites, 0);
	assert_int_equal(r.counters.processes_ended, 1);
	heap_reading__free(&r);
}

static void test_dlopen(void **state)
{
	(void)state;
	target__start(&t, "alloc_kinds", NULL);
	watch();
	assert_null(strstr(heap__allocator(h), "mimalloc"));
	target__do(&t, "open " LIB "libmimalloc.so.2.0");
	usleep(600000);
	assert_int_equal(heap__tend(h), 0);
	assert_non_null(strstr(heap__allocator(h), "mimalloc"));
	target__do(&t, "library");
	target__do(&t, "malloc");
	assert_exact(h, &t);
}

static size_t modules_named(const char *name)
{
	size_t n = 0;

	for (size_t i = 0; i < h->n_modules; i++)
		n += strstr(h->modules[i]->path, name) != NULL;
	return n;
}

/* A file that was written anew is looked through anew, by whoever maps it then. */
static void test_rewritten(void **state)
{
	const char *build = getenv("BUILD") ? getenv("BUILD") : "build";
	struct target second;
	struct heap_opts opts = {.n_pids = 2, .max_blocks = 5000};
	char lib[256], command[600];

	(void)state;
	snprintf(lib, sizeof(lib), "%s/tests/targets/rewritten.so", build);
	snprintf(command, sizeof(command), "cp %s %s", LIB "libmimalloc.so.2.0", lib);
	assert_int_equal(system(command), 0);
	target__start(&second, "alloc_kinds", NULL);
	target__start(&t, "alloc_kinds", NULL);
	opts.pids[0] = second.pid;
	opts.pids[1] = t.pid;
	assert_int_equal(heap__open(&h, &opts), 0);
	snprintf(command, sizeof(command), "open %s", lib);
	target__do(&second, command);
	usleep(600000);
	assert_int_equal(heap__tend(h), 0);
	assert_int_equal(modules_named("rewritten.so"), 1);
	target__stop(&second);
	assert_int_equal(utimensat(AT_FDCWD, lib, (struct timespec[2]){{1, 0}, {1, 0}}, 0), 0);
	target__do(&t, command);
	usleep(600000);
	assert_int_equal(heap__tend(h), 0);
	assert_int_equal(modules_named("rewritten.so"), 2);
	unlink(lib);
}

static size_t open_files(void)
{
	size_t n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* The first attachment of two succeeds: it does not stay, and is not tried again and again. */
static void test_half_attached(void **state)
{
	struct rlimit old, limit;
	size_t files;
	int fd;

	(void)state;
	target__start(&t, "alloc_kinds", NULL);
	watch();
	target__do(&t, "open " LIB "libmimalloc.so.2.0");
	files = open_files();
	getrlimit(RLIMIT_NOFILE, &old);
	fd = dup(0);
	close(fd);
	limit = (struct rlimit){.rlim_cur = (rlim_t)fd + 1, .rlim_max = old.rlim_max};
	setrlimit(RLIMIT_NOFILE, &limit);
	usleep(600000);
	assert_int_equal(heap__tend(h), 0);
	setrlimit(RLIMIT_NOFILE, &old);
	assert_int_equal(open_files(), files);
	usleep(600000);
	assert_int_equal(heap__tend(h), 0);
	assert_int_equal(open_files(), files);
	target__do(&t, "malloc");
	assert_exact(h, &t);
}

/* ---- many blocks */

static void test_million(void **state)
{
	(void)state;
	target__start(&t, "alloc_kinds", NULL);
	watch_with((struct heap_opts){.max_blocks = 1 << 20});
	target__do(&t, "many");
	assert_exact(h, &t);
}

static void test_full(void **state)
{
	struct heap_reading r;
	struct read_site sum;

	(void)state;
	target__start(&t, "alloc_kinds", NULL);
	watch_with((struct heap_opts){.max_blocks = 5000});
	target__do(&t, "malloc");
	target__do(&t, "mix");
	read_it(&r);
	sum = reading__sum(&r, t.pid, told("by_malloc"));
	assert_true(sum.bytes == (double)told("by_malloc")->bytes); /* the oldest stay */
	assert_true(r.counters.blocks_lost == 0);
	heap_reading__free(&r);
	heap__close(h);
	watch_with((struct heap_opts){.max_blocks = 1000});
	target__do(&t, "mix");
	read_it(&r);
	sum = reading__sum(&r, t.pid, NULL);
	assert_true(sum.blocks <= 1000);
	assert_true(r.counters.blocks_lost > 0);
	heap_reading__free(&r);
}

static void test_stacks_full(void **state)
{
	struct heap_reading r;
	double told_bytes = 0;

	(void)state;
	target__start(&t, "alloc_kinds", NULL);
	watch_with((struct heap_opts){.max_stacks = 1});
	target__do(&t, "malloc");
	target__do(&t, "calloc");
	target__do(&t, "strdup");
	target__do(&t, "large");
	read_it(&r);
	assert_true(r.counters.stacks_lost > 0);
	for (size_t i = 0; i < t.n; i++)
		told_bytes += (double)t.site[i].bytes;
	assert_true(reading__sum(&r, 0, NULL).bytes == told_bytes);
	heap_reading__free(&r);
}

/* ---- sampling */

/* All that "mix" allocates. */
static double mix_total(void)
{
	uint32_t random = 12345;
	double total = 0;

	for (int i = 0; i < 60000; i++) {
		random = random * 1664525 + 1013904223;
		total += (double)(((size_t)16 << (random >> 8) % 13) + (random >> 12) % 16);
	}
	return total;
}

static void sampled(struct heap_opts opts)
{
	struct heap_reading r;
	struct read_site sum;
	double live, error;

	opts.sample_bytes = 256 * 1024;
	target__start(&t, "alloc_kinds", NULL);
	watch_with(opts);
	target__do(&t, "mix");
	read_it(&r);
	live = (double)told("by_mix")->bytes;
	sum = reading__sum(&r, t.pid, told("by_mix"));
	error = sqrt(sum.variance);
	printf("# sampled %.0f of %.0f bytes, error %.0f; expected %.0f; allocated %.0f of %.0f; "
	       "%.0f of %llu blocks\n",
	       sum.bytes, live, error, sqrt(live * 256 * 1024), sum.total_bytes, mix_total(),
	       sum.blocks, told("by_mix")->blocks);
	assert_true(error > 0 && error < 1.5 * sqrt(live * 256 * 1024));
	assert_true(fabs(sum.bytes - live) < 4.5 * error); /* of 150,000 runs one fails */
	/* A sample stands for at least `rate` bytes: the error of the total is below that. */
	assert_true(fabs(sum.total_bytes - mix_total()) < 4.5 * sqrt(mix_total() * 256 * 1024));
	/* Blocks that were not sampled are freed too. */
	assert_true(r.counters.allocs == 60000);
	assert_true(r.counters.missed_frees == 0);
	heap_reading__free(&r);
	target__do(&t, "large");
	read_it(&r);
	sum = reading__sum(&r, t.pid, told("by_large"));
	assert_true(fabs(sum.bytes - (double)told("by_large")->bytes) < 1);
	heap_reading__free(&r);
}

static void test_sampled(void **state)
{
	(void)state;
	sampled((struct heap_opts){0});
}

static void test_sampled_no_session(void **state)
{
	(void)state;
	sampled((struct heap_opts){.no_session = true});
}

/* With samples so close that nearly all are taken, nested calls that were counted would show. */
static void sampled_kinds(const char *program)
{
	target__start(&t, program, NULL);
	watch_with((struct heap_opts){.sample_bytes = 16});
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		double told_bytes = 0, noise = 0;
		struct heap_reading r;
		struct read_site sum;

		if (!strcmp(kinds[i], "reuse"))
			continue;
		target__do(&t, kinds[i]);
		read_it(&r);
		for (size_t k = 0; k < t.n; k++) {
			told_bytes += (double)t.site[k].bytes;
			if (!strcmp(t.site[k].name, "noise"))
				noise = reading__sum(&r, t.pid, &t.site[k]).bytes;
		}
		sum = reading__sum(&r, t.pid, NULL);
		/*
		 * A block that was missed is not in the variance: of the thousands of 20 times 16
		 * bytes one is missed in 10^9. What is counted twice is tens of thousands.
		 */
		if (fabs(sum.bytes - noise - told_bytes) > 5 * sqrt(sum.variance) + 20 * 16)
			fail_msg("after %s: %.0f bytes, %.0f are held, error %.0f", kinds[i],
				 sum.bytes - noise, told_bytes, sqrt(sum.variance));
		assert_int_equal(r.counters.missed_frees, 0);
		heap_reading__free(&r);
	}
}

static void test_sampled_nested(void **state)
{
	(void)state;
	sampled_kinds("alloc_kinds-musl");
}

static void test_sampled_kinds(void **state)
{
	(void)state;
	sampled_kinds("alloc_kinds");
}

/* ---- budget */

static void test_budget(void **state)
{
	struct heap_reading r, later;

	(void)state;
	target__start(&t, "alloc_kinds", NULL);
	watch_with((struct heap_opts){.budget = 0.01});
	assert_string_equal(heap__stopped(h), "");
	target__do(&t, "mix");
	target__do(&t, "many");
	assert_int_equal(heap__tend(h), 0);
	printf("# %s\n", heap__stopped(h));
	assert_non_null(strstr(heap__stopped(h), "budget 1 %"));
	read_it(&r);
	target__do(&t, "mix");
	read_it(&later);
	printf("# %.1f ms of probes\n", r.probe_ns / 1e6);
	/* Of one second 1 %; a thread that gets no processor cannot look at it, hence the factor.
	 */
	assert_true(r.probe_ns < 0.01 * 1e9 * 5);
	assert_true(r.probe_hits == later.probe_hits);
	assert_true(reading__sum(&r, 0, NULL).bytes == reading__sum(&later, 0, NULL).bytes);
	heap_reading__free(&r);
	heap_reading__free(&later);
}

static void test_within_budget(void **state)
{
	(void)state;
	target__start(&t, "alloc_kinds", NULL);
	watch_with((struct heap_opts){.budget = 0.5});
	for (size_t i = 0; i < 5; i++) {
		target__do(&t, kinds[i]);
		assert_exact(h, &t);
		usleep(50000);
	}
	assert_string_equal(heap__stopped(h), "");
}

/* ---- what must not be probed, and cannot */

static void refused(pid_t pid, int err)
{
	struct heap_opts opts = {.pids = {pid}, .n_pids = 1, .max_blocks = 1000};

	assert_int_equal(heap__open(&h, &opts), err);
	assert_null(h);
}

static void test_no_process(void **state)
{
	(void)state;
	refused(4194304, -ESRCH);
}

static void test_kernel_thread(void **state)
{
	(void)state;
	refused(2, -ESRCH);
}

static pid_t spawn(const char *path, const char *arg, const char *arg2)
{
	pid_t pid = fork();

	if (!pid) {
		int fd = open("/dev/null", O_RDWR);

		dup2(fd, 1);
		dup2(fd, 2);
		execlp(path, path, arg, arg2, NULL);
		_exit(127);
	}
	usleep(300000);
	return pid;
}

static void test_go(void **state)
{
	pid_t pid = spawn("nats-server", "--port=-1", NULL);

	(void)state;
	if (waitpid(pid, NULL, WNOHANG) == pid) {
		print_message("nats-server does not run here\n");
		skip();
	}
	refused(pid, -EOPNOTSUPP);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* The copy's path is the target's: see target__start(). */
static void test_stripped(void **state)
{
	const char *build = getenv("BUILD") ? getenv("BUILD") : "build";
	char command[512];

	(void)state;
	snprintf(command, sizeof(command),
		 "strip -o %s/tests/targets/alloc_kinds-stripped "
		 "%s/tests/targets/alloc_kinds-static",
		 build, build);
	assert_int_equal(system(command), 0);
	target__start(&t, "alloc_kinds-stripped", NULL);
	refused(t.pid, -ENOENT);
}

/* The same program, but run later, by a process that we were asked to watch. */
static void test_exec_stripped(void **state)
{
	const char *build = getenv("BUILD") ? getenv("BUILD") : "build";
	struct heap_opts opts = {.n_pids = 1, .max_blocks = 1000};
	char command[512], said[4096];
	int err = dup(2), to[2];
	FILE *file = tmpfile();

	(void)state;
	snprintf(command, sizeof(command),
		 "strip -o %s/tests/targets/alloc_kinds-stripped "
		 "%s/tests/targets/alloc_kinds-static",
		 build, build);
	assert_int_equal(system(command), 0);
	snprintf(command, sizeof(command), "read line; exec %s/tests/targets/alloc_kinds-stripped",
		 build);
	assert_int_equal(pipe(to), 0);
	t.pid = opts.pids[0] = fork();
	if (!t.pid) {
		dup2(to[0], 0);
		dup2(open("/dev/null", O_WRONLY), 1);
		execl("/bin/sh", "sh", "-c", command, NULL);
		_exit(127);
	}
	usleep(300000);
	assert_int_equal(heap__open(&h, &opts), 0);
	dup2(fileno(file), 2);
	assert_int_equal(write(to[1], "go\n", 3), 3);
	for (int i = 0; i < 30; i++) {
		usleep(100000);
		heap__tend(h);
	}
	dup2(err, 2);
	close(err);
	close(to[0]);
	close(to[1]);
	rewind(file);
	said[fread(said, 1, sizeof(said) - 1, file)] = 0;
	fclose(file);
	printf("# %s", said);
	assert_non_null(strstr(said, "is statically linked and stripped"));
	assert_null(strstr(strstr(said, "hopscope") + 1, "hopscope")); /* once */
}

/* What the process has mapped is what counts, not what has its path now. */
static void test_deleted(void **state)
{
	const char *build = getenv("BUILD") ? getenv("BUILD") : "build";
	char command[1024];

	(void)state;
	snprintf(command, sizeof(command),
		 "cp %s/tests/targets/alloc_kinds-static %s/tests/targets/alloc_kinds-gone", build,
		 build);
	assert_int_equal(system(command), 0);
	target__start(&t, "alloc_kinds-gone", NULL);
	snprintf(command, sizeof(command), "%s/tests/targets/alloc_kinds-gone", build);
	assert_int_equal(unlink(command), 0);
	watch();
	target__do(&t, "malloc");
	target__do(&t, "realloc");
	assert_exact(h, &t);
}

/* Where memory is limited operator new may throw at any size: it gets no return probe. */
static void test_limited(void **state)
{
	struct rlimit old, limit = {.rlim_cur = 4ull << 30, .rlim_max = RLIM_INFINITY};
	struct heap_reading r;

	(void)state;
	getrlimit(RLIMIT_AS, &old);
	limit.rlim_max = old.rlim_max;
	setrlimit(RLIMIT_AS, &limit);
	target__start(&t, "alloc_cxx", LIB "libtcmalloc_minimal.so.4");
	setrlimit(RLIMIT_AS, &old);
	watch();
	target__do(&t, "new");
	target__do(&t, "throw");
	read_it(&r);
	assert_true(r.counters.allocs < 10);
	heap_reading__free(&r);
}

static void test_binary(void **state)
{
	(void)state;
	target__start(&t, "alloc_kinds", LIB "libjemalloc.so.2");
	watch_with((struct heap_opts){.binary = "libjemalloc.so.2"});
	assert_string_equal(heap__allocator(h), "jemalloc");
	target__do(&t, "malloc");
	target__do(&t, "memalign");
	assert_exact(h, &t);
	heap__close(h);
	h = NULL;
	refused(999999999, -ESRCH);
	assert_int_equal(heap__open(&h, &(struct heap_opts){.pids = {t.pid},
							    .n_pids = 1,
							    .max_blocks = 1000,
							    .binary = "/bin/true"}),
			 -ENOENT);
}

static void test_seccomp(void **state)
{
	int err;

	(void)state;
	target__start(&t, "alloc_kinds", NULL);
	target__do(&t, "seccomp");
	err = heap__open(&h, &(struct heap_opts){.pids = {t.pid}, .n_pids = 1, .max_blocks = 5000});
	if (err) {
		assert_int_equal(err, -EOPNOTSUPP); /* a kernel without the fix */
	} else {
		target__do(&t, "malloc");
		assert_exact(h, &t);
	}
	target__do(&t, "calloc"); /* it lives */
}

static void count_line(void *ctx, const char *line)
{
	if (strstr(line, "malloc in ") && strstr(line, "libc.so.6 +0x"))
		++*(int *)ctx;
}

static void test_probes(void **state)
{
	int lines = 0;

	(void)state;
	target__start(&t, "alloc_kinds", NULL);
	watch();
	heap__probes(h, count_line, &lines);
	assert_int_equal(lines, 1);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_before, stop),
		cmocka_unit_test_teardown(test_ages, stop),
		cmocka_unit_test_teardown(test_fork, stop),
		cmocka_unit_test_teardown(test_forks_lost, stop),
		cmocka_unit_test_teardown(test_processes_full, stop),
		cmocka_unit_test_teardown(test_generations, stop),
		cmocka_unit_test_teardown(test_orphan, stop),
		cmocka_unit_test_teardown(test_sites_full, stop),
		cmocka_unit_test_teardown(test_exec, stop),
		cmocka_unit_test_teardown(test_exit, stop),
		cmocka_unit_test_teardown(test_dlopen, stop),
		cmocka_unit_test_teardown(test_rewritten, stop),
		cmocka_unit_test_teardown(test_half_attached, stop),
		cmocka_unit_test_teardown(test_million, stop),
		cmocka_unit_test_teardown(test_full, stop),
		cmocka_unit_test_teardown(test_stacks_full, stop),
		cmocka_unit_test_teardown(test_sampled, stop),
		cmocka_unit_test_teardown(test_sampled_no_session, stop),
		cmocka_unit_test_teardown(test_sampled_kinds, stop),
		cmocka_unit_test_teardown(test_sampled_nested, stop),
		cmocka_unit_test_teardown(test_budget, stop),
		cmocka_unit_test_teardown(test_within_budget, stop),
		cmocka_unit_test_teardown(test_no_process, stop),
		cmocka_unit_test_teardown(test_kernel_thread, stop),
		cmocka_unit_test_teardown(test_go, stop),
		cmocka_unit_test_teardown(test_stripped, stop),
		cmocka_unit_test_teardown(test_exec_stripped, stop),
		cmocka_unit_test_teardown(test_binary, stop),
		cmocka_unit_test_teardown(test_deleted, stop),
		cmocka_unit_test_teardown(test_limited, stop),
		cmocka_unit_test_teardown(test_seccomp, stop),
		cmocka_unit_test_teardown(test_probes, stop),
	};

	log_verbose = getenv("V") != NULL;
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
