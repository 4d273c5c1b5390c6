// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "log.h"
#include "stack/child.h"
#include "stack/clock.h"
#include "stack/file.h"

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

/* What the child needs between fork and exec, opened by the parent. */
struct launch {
	const struct child_spec *spec;
	pid_t parent;
	int v2_procs, v1_procs;
	int in, out, log;
	int error; /* pipe: {step, errno} when exec was not reached */
};

enum launch_step { STEP_CGROUP = 1, STEP_NETNS, STEP_FD, STEP_EXEC };

static void __attribute__((noreturn)) launch_failed(const struct launch *l, int step)
{
	int report[2] = {step, errno};

	if (write(l->error, report, sizeof(report)) != sizeof(report))
		_exit(126);
	_exit(127);
}

/* In the child. Only async-signal-safe calls. */
static void __attribute__((noreturn)) launch(const struct launch *l)
{
	sigset_t none;

	/* A group of its own: Ctrl-C at the terminal is for us, and we tell the children. */
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* The parent may have gone before prctl(): then no signal will come. */
	if (getppid() != l->parent)
		_exit(125);
	if (write(l->v2_procs, "0", 1) != 1)
		launch_failed(l, STEP_CGROUP);
	if (l->v1_procs >= 0 && write(l->v1_procs, "0", 1) != 1)
		launch_failed(l, STEP_CGROUP);
	if (l->spec->netns && setns(l->spec->netns->fd, CLONE_NEWNET))
		launch_failed(l, STEP_NETNS);
	if (dup2(l->in, STDIN_FILENO) < 0 || dup2(l->out, STDOUT_FILENO) < 0 ||
	    dup2(l->log, STDERR_FILENO) < 0)
		launch_failed(l, STEP_FD);
	signal(SIGPIPE, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execvp(l->spec->argv[0], l->spec->argv);
	launch_failed(l, STEP_EXEC);
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static int open_streams(struct child *c, struct launch *l)
{
	int in[2], out[2];

	l->log = open(c->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (l->log < 0)
		return -errno;
	if (!l->spec->pipes) {
		l->in = open("/dev/null", O_RDONLY | O_CLOEXEC);
		l->out = fcntl(l->log, F_DUPFD_CLOEXEC, 3);
		return l->in < 0 || l->out < 0 ? -errno : 0;
	}
	if (pipe2(in, O_CLOEXEC))
		return -errno;
	l->in = in[0];
	c->in = in[1];
	if (pipe2(out, O_CLOEXEC))
		return -errno;
	c->out = out[0];
	l->out = out[1];
	return 0;
}

/* Waits for exec: end of the pipe is success. */
static int await_exec(struct child *c, int fd)
{
	static const char *const what[] = {"", "enter its cgroup", "enter its network namespace",
					   "open its streams", "run it"};
	const char *hint = "";
	int report[2];
	ssize_t n;

	do
		n = read(fd, report, sizeof(report));
	while (n < 0 && errno == EINTR);
	if (n != sizeof(report))
		return 0;
	if (report[0] == STEP_EXEC && report[1] == ENOENT)
		hint = "; is it installed and in PATH?";
	return log_fail(-report[1], "cannot start %s: cannot %s: %s%s", c->name, what[report[0]],
			strerror(report[1]), hint);
}

static int fork_into(struct child *c, struct launch *l)
{
	int pipe_fds[2];
	int err;

	if (pipe2(pipe_fds, O_CLOEXEC))
		return log_fail(-errno, "cannot start %s: %s", c->name, strerror(errno));
	l->error = pipe_fds[1];
	l->parent = getpid();
	c->pid = fork();
	if (c->pid == 0)
		launch(l);
	err = c->pid < 0 ? -errno : 0;
	c->started = err ? 0 : c->pid;
	close(pipe_fds[1]);
	if (err) {
		c->pid = 0;
		log_fail(err, "cannot start %s: fork: %s", c->name, strerror(-err));
	} else {
		c->pidfd = (int)syscall(SYS_pidfd_open, c->pid, 0);
		if (c->pidfd < 0)
			err = log_fail(-errno, "cannot watch %s: pidfd_open: %s", c->name,
				       strerror(errno));
		else
			err = await_exec(c, pipe_fds[0]);
	}
	close(pipe_fds[0]);
	return err;
}

int child__start(struct child *c, const struct child_spec *spec)
{
	struct launch l = {
		.spec = spec, .v2_procs = -1, .v1_procs = -1, .in = -1, .out = -1, .log = -1};
	int err;

	memset(c, 0, sizeof(*c));
	c->pidfd = c->in = c->out = -1;
	snprintf(c->name, sizeof(c->name), "%s", spec->name);
	err = path__format(c->log, "%s", spec->log);
	if (!err)
		err = cgroup__open_procs(spec->cgroup, &l.v2_procs, &l.v1_procs);
	if (!err)
		err = open_streams(c, &l);
	if (err)
		log_fail(err, "cannot start %s: %s", c->name, strerror(-err));
	else
		err = fork_into(c, &l);
	close_fd(&l.v2_procs);
	close_fd(&l.v1_procs);
	close_fd(&l.in);
	close_fd(&l.out);
	close_fd(&l.log);
	if (err) {
		struct child *self = c;

		child__stop_all(&self, 1, 0, -1);
		close_fd(&c->in);
		close_fd(&c->out);
	}
	return err;
}

bool child__ended(struct child *c)
{
	siginfo_t info = {0};

	if (!c->pid || c->dead)
		return c->pid && c->dead;
	if (waitid(P_PIDFD, (id_t)c->pidfd, &info, WEXITED | WNOHANG) || !info.si_pid)
		return false;
	c->dead = true;
	c->code = info.si_code;
	c->status = info.si_status;
	return true;
}

static void signal_child(struct child *c, int sig)
{
	c->stopping = true;
	syscall(SYS_pidfd_send_signal, c->pidfd, sig, NULL, 0);
}

/* Until all have ended or the time is over. How many live. */
static size_t await_all(struct child **children, size_t n, unsigned int timeout_ms,
			int impatient_fd)
{
	uint64_t deadline = clock__now() + timeout_ms * NS_PER_MS;
	struct pollfd fds[65];

	for (;;) {
		size_t i, live = 0, watched = 1;

		/* Not read here: whoever owns it counts the signals. */
		fds[0] = (struct pollfd){.fd = impatient_fd, .events = POLLIN};

		for (i = 0; i < n; i++) {
			if (!children[i]->pid || children[i]->pidfd < 0 ||
			    child__ended(children[i]))
				continue;
			live++;
			if (watched < 65)
				fds[watched++] =
					(struct pollfd){.fd = children[i]->pidfd, .events = POLLIN};
		}
		if (!live || clock__now() >= deadline)
			return live;
		poll(fds, watched, clock__left_ms(deadline));
		if (fds[0].revents)
			return live;
	}
}

void child__stop_all(struct child **children, size_t n, unsigned int grace_ms, int impatient_fd)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (!children[i]->pid)
			continue; /* may be all zeroes: its descriptors are not ours */
		close_fd(&children[i]->in);
		if (children[i]->pidfd >= 0 && !child__ended(children[i]))
			signal_child(children[i], grace_ms ? SIGTERM : SIGKILL);
	}
	if (grace_ms && await_all(children, n, grace_ms, impatient_fd)) {
		for (i = 0; i < n; i++) {
			if (!children[i]->pid || children[i]->pidfd < 0 ||
			    child__ended(children[i]))
				continue;
			log_debug("%s did not end within %u ms of SIGTERM: SIGKILL",
				  children[i]->name, grace_ms);
			signal_child(children[i], SIGKILL);
		}
	}
	await_all(children, n, 2000, -1);
	for (i = 0; i < n; i++) {
		if (!children[i]->pid)
			continue;
		close_fd(&children[i]->out);
		close_fd(&children[i]->pidfd);
		children[i]->pid = 0;
	}
}

const char *child__how_it_ended(const struct child *c, char *buf, size_t size)
{
	if (c->code == CLD_EXITED)
		snprintf(buf, size, "exit status %d", c->status);
	else
		snprintf(buf, size, "signal %d (%s)%s", c->status, strsignal(c->status),
			 c->code == CLD_DUMPED ? ", core dumped" : "");
	return buf;
}
