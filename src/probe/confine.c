// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#define _GNU_SOURCE
#include "probe/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "log.h"

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define BIT(use)     (1u << (use))
#define FUNCTIONS    (BIT(PRIVILEGES_TLS) | BIT(PRIVILEGES_ALLOCS))
#define ALL	     (BIT(PRIVILEGES_USES) - 1)

/* The kernel's, newer than the headers of Debian 12, or of a struct that they hide (TCGETS2). */
#define SCAN_IOCTL    0xc0606610u /* PAGEMAP_SCAN */
#define TERM_IOCTL    0x802c542au /* TCGETS2, which newer C libraries ask */
#define PERF_IOCTLS   0x2400u	  /* _IO('$', ...) and its like */
#define PERF_MASK     0xff00u
#define SYS_URETPROBE 335	  /* x86-64, since Linux 6.11 */
#define SYS_UPROBE    336	  /* x86-64, since Linux 6.18 */
#define SPACES	      0x7e020080u /* CLONE_NEW* */

/*
 * What a C program does that reads files, prints and waits, by name: what an architecture does not
 * have, it does without.
 */
static const char harmless[] =
	/* files and directories that are open, and names */
	"read pread64 readv preadv write writev pwrite64 lseek _llseek close close_range fstat "
	"newfstatat fstatat64 stat lstat statx fstatfs statfs readlink readlinkat getdents64 "
	"access faccessat faccessat2 getcwd fcntl dup dup3 ftruncate fsync fdatasync fadvise64 "
	"openat2 name_to_handle_at pipe2 "
	/* memory */
	"mmap munmap mprotect mremap madvise brk membarrier "
	/* time, waiting */
	"clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday time poll ppoll select "
	"pselect6 epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2 futex futex_waitv "
	"sched_yield restart_syscall "
	/* signals: ours, not others' */
	"rt_sigaction rt_sigprocmask rt_sigreturn rt_sigtimedwait rt_sigpending sigaltstack "
	/* about this process */
	"getpid getppid gettid getuid geteuid getgid getegid getrusage getrandom sysinfo uname "
	"sched_getaffinity set_robust_list rseq set_tid_address arch_prctl capget exit exit_group";

/* In the running phase of these: a process of our own finds out what return probes do. */
static const char to_fork[] = "wait4 waitid seccomp";

static const struct {
	int cmd;
	unsigned int uses;
} bpf_commands[] = {
	{BPF_MAP_LOOKUP_ELEM, ALL},
	{BPF_MAP_UPDATE_ELEM, ALL},
	{BPF_MAP_DELETE_ELEM, ALL},
	{BPF_MAP_GET_NEXT_KEY, ALL},
	{BPF_MAP_LOOKUP_AND_DELETE_ELEM, ALL},
	{BPF_MAP_LOOKUP_BATCH, ALL},
	{BPF_MAP_LOOKUP_AND_DELETE_BATCH, ALL},
	{BPF_MAP_UPDATE_BATCH, ALL},
	{BPF_MAP_DELETE_BATCH, ALL},
	{BPF_OBJ_GET_INFO_BY_FD, ALL},
	{BPF_ITER_CREATE, ALL},
	{BPF_LINK_DETACH, ALL},
	{BPF_ENABLE_STATS, BIT(PRIVILEGES_PAGES)}, /* now and then, for one reading */
	{BPF_LINK_CREATE, FUNCTIONS},
	{BPF_PROG_LOAD, FUNCTIONS}, /* libbpf tries what the kernel can, when first needed */
};

/* libseccomp's own macros leave a field out, which clang tells of. */
static struct scmp_arg_cmp arg_is(unsigned int arg, uint64_t value)
{
	return (struct scmp_arg_cmp){.arg = arg, .op = SCMP_CMP_EQ, .datum_a = value};
}

static struct scmp_arg_cmp arg_has(unsigned int arg, uint64_t mask, uint64_t value)
{
	return (struct scmp_arg_cmp){
		.arg = arg, .op = SCMP_CMP_MASKED_EQ, .datum_a = mask, .datum_b = value};
}

static int allow_named(scmp_filter_ctx f, const char *names)
{
	char name[32];
	int n, err = 0;

	for (; !err && sscanf(names, "%31s%n", name, &n) == 1; names += n) {
		int nr = seccomp_syscall_resolve_name(name);

		if (nr != __NR_SCMP_ERROR)
			err = seccomp_rule_add(f, SCMP_ACT_ALLOW, nr, 0);
	}
	return err;
}

/* Reading, and nothing else. */
static int allow_open(scmp_filter_ctx f)
{
	const uint64_t not = O_ACCMODE | O_CREAT | O_TRUNC;
	int err, open_nr = seccomp_syscall_resolve_name("open");

	err = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(openat), 1, arg_has(2, not, O_RDONLY));
	if (!err)
		err = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(open_by_handle_at), 1,
				       arg_has(2, not, O_RDONLY));
	if (!err && open_nr != __NR_SCMP_ERROR)
		err = seccomp_rule_add(f, SCMP_ACT_ALLOW, open_nr, 1, arg_has(1, not, O_RDONLY));
	return err;
}

static int allow_bpf(scmp_filter_ctx f, enum privilege_use use)
{
	int err = 0;

	for (size_t i = 0; i < ARRAY_LEN(bpf_commands) && !err; i++) {
		if (bpf_commands[i].uses & BIT(use))
			err = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(bpf), 1,
					       arg_is(0, (uint64_t)bpf_commands[i].cmd));
	}
	return err;
}

/* Signal 0 asks whether a process is there. abort() sends one to itself. */
static int allow_signals(scmp_filter_ctx f)
{
	int err = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(kill), 1, arg_is(1, 0));

	return err ? err
		   : seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
				      arg_is(0, (uint64_t)getpid()));
}

static int allow_ioctls(scmp_filter_ctx f, enum privilege_use use)
{
	static const uint64_t requests[] = {TCGETS, TERM_IOCTL, TIOCGWINSZ, SCAN_IOCTL};
	int err = 0;

	for (size_t i = 0; i < ARRAY_LEN(requests) && !err; i++)
		err = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
				       arg_has(1, UINT32_MAX, requests[i]));
	if (!err && FUNCTIONS & BIT(use))
		err = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
				       arg_has(1, PERF_MASK, PERF_IOCTLS));
	return err;
}

/* Threads. clone3() keeps its flags where a filter does not see them; glibc does without it. */
static int allow_threads(scmp_filter_ctx f, bool processes)
{
	const uint64_t mask = processes ? SPACES : SPACES | CLONE_THREAD;
	int clone3 = seccomp_syscall_resolve_name("clone3"), err = 0;

	if (clone3 != __NR_SCMP_ERROR)
		err = seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOSYS), clone3, 0);
	return err ? err
		   : seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
				      arg_has(0, mask, processes ? 0 : CLONE_THREAD));
}

static int allow_prctl(scmp_filter_ctx f, bool processes)
{
	static const uint64_t options[] = {0x53564d41 /* PR_SET_VMA: malloc names its memory */,
					   PR_CAPBSET_READ, PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP};
	size_t n = processes ? ARRAY_LEN(options) : 2;
	int err = 0;

	for (size_t i = 0; i < n && !err; i++)
		err = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1,
				       arg_is(0, options[i]));
	return err;
}

static int allow_limits(scmp_filter_ctx f)
{
	int nr = seccomp_syscall_resolve_name("prlimit64");

	return nr == __NR_SCMP_ERROR ? 0 : seccomp_rule_add(f, SCMP_ACT_ALLOW, nr, 1, arg_is(2, 0));
}

/* A probe that stands on a function of our own process, in a library that all share. */
static int allow_probes(scmp_filter_ctx f, enum privilege_use use)
{
	int err = 0;

#ifdef __x86_64__
	err = seccomp_rule_add(f, SCMP_ACT_ALLOW, SYS_URETPROBE, 0);
	err = err ? err : seccomp_rule_add(f, SCMP_ACT_ALLOW, SYS_UPROBE, 0);
#endif
	if (!err && FUNCTIONS & BIT(use))
		err = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(perf_event_open), 0);
	return err;
}

static int allow(scmp_filter_ctx f, enum privilege_use use)
{
	bool processes = use == PRIVILEGES_ALLOCS;
	int err;

	/* In all threads; and found in a few steps, as it is asked at every call. */
	err = seccomp_attr_set(f, SCMP_FLTATR_CTL_TSYNC, 1);
	if (!err && seccomp_attr_set(f, SCMP_FLTATR_CTL_OPTIMIZE, 2))
		log_debug("libseccomp makes no tree of the filter");
	err = err ? err : allow_named(f, harmless);
	err = err ? err : allow_open(f);
	err = err ? err : allow_bpf(f, use);
	err = err ? err : allow_signals(f);
	err = err ? err : allow_ioctls(f, use);
	err = err ? err : allow_threads(f, processes);
	err = err ? err : allow_prctl(f, processes);
	err = err ? err : allow_limits(f);
	if (!err && processes)
		err = allow_named(f, to_fork);
	return err ? err : allow_probes(f, use);
}

bool confine__has_filters(void)
{
	uint32_t action = SECCOMP_RET_ERRNO;

	return !syscall(__NR_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action);
}

static int filter(enum privilege_use use)
{
	scmp_filter_ctx f;
	int err;

	if (!confine__has_filters()) {
		log_warn("this kernel has no seccomp filters: hopscope runs without one");
		return 0;
	}
	f = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	if (!f)
		return -ENOMEM;
	err = allow(f, use);
	err = err ? err : seccomp_load(f);
	seccomp_release(f);
	return err;
}

int confine__running(enum privilege_use use)
{
	int err;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return log_fail(-errno, "cannot give up new privileges: %s", strerror(errno));
	err = privileges__drop(use);
	if (err)
		return log_fail(err, "cannot give up capabilities: %s", strerror(-err));
	err = filter(use);
	return err ? log_fail(err, "cannot install the filter of system calls: %s", strerror(-err))
		   : 0;
}

int confine__children(void)
{
	int err = privileges__keep_from_children();

	if (!err && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		err = -errno;
	return err ? log_fail(err, "cannot give up new privileges: %s", strerror(-err)) : 0;
}
