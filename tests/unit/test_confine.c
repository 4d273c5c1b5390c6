/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a command may still do once everything is attached: each try in a child of its own. */
#define _GNU_SOURCE
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
/* cmocka.h wants the four above */
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "probe/confine.h"

/* Runs fn in a child that is confined. What it returned: 0 to 99; 255: it ended by a signal. */
static int confined(enum privilege_use use, int (*fn)(void))
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid)
		_exit(confine__running(use) ? 100 : fn());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

static void must_refuse(enum privilege_use use, int (*fn)(void))
{
	assert_int_equal(confined(use, fn), EPERM);
}

/* ---- what is refused */

static int try_exec(void)
{
	char *argv[] = {"true", NULL};

	execv("/bin/true", argv);
	return errno;
}

static int try_execveat(void)
{
	char *argv[] = {"true", NULL};

	syscall(__NR_execveat, AT_FDCWD, "/bin/true", argv, NULL, 0);
	return errno;
}

static int try_write(void)
{
	return open("/dev/null", O_WRONLY | O_CLOEXEC) < 0 ? errno : 0;
}

/* What cgroups are opened by, and what gets past the permissions of folders. */
static int by_handle(int flags)
{
	return syscall(__NR_open_by_handle_at, AT_FDCWD, NULL, flags) < 0 ? errno : 0;
}

static int try_write_by_handle(void)
{
	return by_handle(O_WRONLY | O_CLOEXEC);
}

static int try_create(void)
{
	return open("/tmp/hopscope-test-confine", O_RDONLY | O_CREAT | O_CLOEXEC, 0600) < 0 ? errno
											    : 0;
}

static int try_truncate(void)
{
	return open("/dev/null", O_RDONLY | O_TRUNC | O_CLOEXEC) < 0 ? errno : 0;
}

static int try_unlink(void)
{
	return unlink("/tmp/hopscope-test-confine") ? errno : 0;
}

static int try_rename(void)
{
	return rename("/tmp/hopscope-test-confine", "/tmp/hopscope-test-confine2") ? errno : 0;
}

static int try_socket(void)
{
	return socket(AF_UNIX, SOCK_STREAM, 0) < 0 ? errno : 0;
}

static int try_ptrace(void)
{
	return ptrace(PTRACE_TRACEME, 0, NULL, NULL) ? errno : 0;
}

static int try_memory_of_others(void)
{
	return syscall(__NR_process_vm_writev, getpid(), NULL, 0, NULL, 0, 0) < 0 ? errno : 0;
}

static int try_spaces(void)
{
	return unshare(CLONE_NEWNS) ? errno : 0;
}

static int try_signal(void)
{
	return kill(getppid(), SIGCONT) ? errno : 0;
}

static int try_fork(void)
{
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	return pid < 0 ? errno : 0;
}

static int try_setuid(void)
{
	return syscall(__NR_setuid, getuid()) ? errno : 0;
}

static int bpf(int cmd)
{
	union bpf_attr attr = {};

	return syscall(__NR_bpf, cmd, &attr, sizeof(attr)) < 0 ? errno : 0;
}

static int try_load(void)
{
	return bpf(BPF_PROG_LOAD);
}

static int try_map(void)
{
	return bpf(BPF_MAP_CREATE);
}

static int try_link(void)
{
	return bpf(BPF_LINK_CREATE);
}

static int try_pin(void)
{
	return bpf(BPF_OBJ_PIN);
}

static int try_any_map(void)
{
	return bpf(BPF_MAP_GET_FD_BY_ID);
}

static int try_perf(void)
{
	return syscall(__NR_perf_event_open, NULL, 0, -1, -1, 0) < 0 ? errno : 0;
}

static void refuses(void **state)
{
	static int (*const tries[])(void) = {try_exec,
					     try_execveat,
					     try_write,
					     try_create,
					     try_truncate,
					     try_unlink,
					     try_rename,
					     try_socket,
					     try_ptrace,
					     try_spaces,
					     try_signal,
					     try_setuid,
					     try_map,
					     try_pin,
					     try_any_map,
					     try_memory_of_others,
					     try_write_by_handle};

	(void)state;
	if (!confine__has_filters())
		skip();
	for (int use = 0; use < PRIVILEGES_BENCH; use++) {
		for (size_t i = 0; i < sizeof(tries) / sizeof(tries[0]); i++)
			must_refuse((enum privilege_use)use, tries[i]);
	}
}

/* Probes in what comes later need more than what is there from the beginning. */
static void refuses_attaching(void **state)
{
	static const enum privilege_use later[] = {PRIVILEGES_TLS, PRIVILEGES_ALLOCS};
	static const enum privilege_use never[] = {PRIVILEGES_TRACE, PRIVILEGES_MEM,
						   PRIVILEGES_PAGES};

	(void)state;
	if (!confine__has_filters())
		skip();
	for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++) {
		must_refuse(never[i], try_load);
		must_refuse(never[i], try_link);
		must_refuse(never[i], try_perf);
		must_refuse(never[i], try_fork);
	}
	for (size_t i = 0; i < sizeof(later) / sizeof(later[0]); i++)
		assert_int_equal(confined(later[i], try_perf),
				 EFAULT); /* the kernel looked at it */
	assert_int_equal(confined(PRIVILEGES_ALLOCS, try_fork), 0);
}

/* ---- what works */

static void *thread(void *arg)
{
	return arg;
}

static int live(void)
{
	struct timespec ts = {.tv_nsec = 1000};
	char line[256], *big = malloc(64 << 20);
	time_t now = time(NULL);
	bool filtered = false, bound = false;
	pthread_t t;
	struct tm tm;
	FILE *f;

	if (!big)
		return 1;
	memset(big, 1, 64 << 20);
	free(big);
	f = fopen("/proc/self/status", "re");
	if (!f)
		return 2;
	while (fgets(line, sizeof(line), f)) {
		filtered |= !strcmp(line, "Seccomp:\t2\n");
		bound |= !strcmp(line, "NoNewPrivs:\t1\n");
	}
	fclose(f);
	if (!filtered || !bound)
		return 3;
	if (kill(getppid(), 0) || clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, NULL) ||
	    !localtime_r(&now, &tm))
		return 4;
	if (pthread_create(&t, NULL, thread, NULL) || pthread_join(t, NULL))
		return 5;
	/* Looked at by the kernel: there is no such map, and no such handle. */
	if (bpf(BPF_MAP_LOOKUP_ELEM) == EPERM)
		return 6;
	return privilege__held(CAP_DAC_READ_SEARCH) && by_handle(O_PATH | O_CLOEXEC) == EPERM ? 7
											      : 0;
}

static void lives(void **state)
{
	(void)state;
	if (!confine__has_filters())
		skip();
	for (int use = 0; use < PRIVILEGES_BENCH; use++)
		assert_int_equal(confined((enum privilege_use)use, live), 0);
}

/* ---- capabilities */

static uint64_t kept(enum privilege_use use)
{
	uint64_t set = 0;

	for (size_t i = 0; i < privileges_n; i++) {
		if (privileges[i].kept & 1u << use)
			set |= 1ull << privileges[i].cap;
	}
	return set;
}

static uint64_t held(void)
{
	uint64_t set = 0;

	for (size_t i = 0; i < privileges_n; i++) {
		if (privilege__held(privileges[i].cap))
			set |= 1ull << privileges[i].cap;
	}
	return set;
}

static enum privilege_use asked;
static uint64_t had;

/* No more than what is kept, in any set; and of what is kept and was held nothing is lost. */
static int look(void)
{
	static const char *const sets[] = {"CapInh:\t%lx", "CapPrm:\t%lx", "CapEff:\t%lx",
					   "CapAmb:\t%lx"};
	FILE *f = fopen("/proc/self/status", "re");
	unsigned long set;
	char line[256];
	int seen = 0;

	while (f && fgets(line, sizeof(line), f)) {
		for (size_t i = 0; i < 4; i++) {
			if (sscanf(line, sets[i], &set) != 1)
				continue;
			seen++;
			if (set & ~kept(asked))
				return 10 + (int)i;
			if ((i == 1 || i == 2) && (had & kept(asked)) & ~set)
				return 20 + (int)i;
		}
	}
	return seen == 4 ? 0 : 30;
}

static void drops(void **state)
{
	(void)state;
	had = held();
	for (int use = 0; use < PRIVILEGES_BENCH; use++) {
		asked = (enum privilege_use)use;
		assert_int_equal(confined(asked, look), 0);
	}
}

/* Each row is of use to someone, and what is required is named in one place. */
static void table(void **state)
{
	(void)state;
	for (size_t i = 0; i < privileges_n; i++) {
		const struct privilege *p = &privileges[i];

		assert_true(p->required | p->useful);
		assert_int_equal(p->required & p->useful, 0);
		assert_int_equal(strncmp(p->name, "CAP_", 4), 0);
		assert_int_equal(p->kept & ~(p->required | p->useful), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table),   cmocka_unit_test(lives),
		cmocka_unit_test(refuses), cmocka_unit_test(refuses_attaching),
		cmocka_unit_test(drops),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
