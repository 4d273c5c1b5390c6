// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "log.h"
#include "stack/clock.h"
#include "stack/file.h"
#include "stack/watch.h"

#define TAIL_LINES 10

int watch__init(struct watch *w, void *ctx)
{
	sigset_t set;

	memset(w, 0, sizeof(*w));
	w->ctx = ctx;
	w->when = "in the middle of the run";
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	/* Blocked for good: between two waits a signal stays pending and nothing is left half. */
	sigprocmask(SIG_BLOCK, &set, NULL);
	/* A worker that died while we write to it is an error of that write. */
	signal(SIGPIPE, SIG_IGN);
	w->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return w->signals < 0 ? -errno : 0;
}

void watch__close(struct watch *w)
{
	if (w->signals >= 0)
		close(w->signals);
	w->signals = -1;
	w->n_children = 0;
}

int watch__add(struct watch *w, struct child *c)
{
	if (w->n_children == WATCH_MAX)
		return -ENOSPC;
	w->children[w->n_children++] = c;
	return 0;
}

static void take_out(struct child **list, size_t *n, const struct child *c)
{
	size_t i;

	for (i = 0; i < *n; i++) {
		if (list[i] != c)
			continue;
		list[i] = list[--*n];
		return;
	}
}

void watch__forget(struct watch *w, const struct child *c)
{
	take_out(w->children, &w->n_children, c);
	take_out(w->ended, &w->n_ended, c);
}

void watch__tell(struct watch *w, watch_death_fn on_death)
{
	size_t i, n = w->n_ended;

	w->on_death = on_death;
	w->n_ended = 0;
	for (i = 0; i < n; i++)
		on_death(w->ctx, w->ended[i]);
}

static void report_death(struct watch *w, struct child *c)
{
	char how[96], tail[2048];

	watch__forget(w, c);
	if (c->stopping)
		return;
	file__tail(c->log, TAIL_LINES, tail, sizeof(tail));
	log_warn("%s (pid %d) ended %s: %s%s%s", c->name, (int)c->pid, w->when,
		 child__how_it_ended(c, how, sizeof(how)),
		 tail[0] ? "; its last lines:\n" : "; its log is empty", tail);
	if (w->on_death)
		w->on_death(w->ctx, c);
	else if (w->n_ended < WATCH_MAX)
		w->ended[w->n_ended++] = c;
}

static void take_signals(struct watch *w)
{
	struct signalfd_siginfo info;

	while (read(w->signals, &info, sizeof(info)) == sizeof(info)) {
		w->interrupts++;
		w->signal = (int)info.ssi_signo;
		if (w->interrupts == 1)
			log_info("%s: ending; the report will be marked partial (once more: no "
				 "report)",
				 strsignal(w->signal));
	}
}

/* Whatever is waited for, what is due by the clock is done on the way. */
static void keep_time(struct watch *w)
{
	if (!w->next_ns || clock__now() < w->next_ns)
		return;
	w->next_ns = 0;
	w->on_time(w->ctx);
}

static int poll_ms(const struct watch *w, uint64_t deadline_ns)
{
	return clock__left_ms(w->next_ns && w->next_ns < deadline_ns ? w->next_ns : deadline_ns);
}

int watch__wait(struct watch *w, int fd, uint64_t deadline_ns, const struct child *needed)
{
	struct pollfd fds[WATCH_MAX + 2];
	struct child *polled[WATCH_MAX];

	for (;;) {
		size_t i, n = w->n_children;
		bool lost = false;

		fds[0] = (struct pollfd){.fd = w->signals, .events = POLLIN};
		fds[1] = (struct pollfd){.fd = fd, .events = POLLIN};
		for (i = 0; i < n; i++) {
			polled[i] = w->children[i];
			fds[i + 2] = (struct pollfd){.fd = polled[i]->pidfd, .events = POLLIN};
		}
		if (poll(fds, n + 2, poll_ms(w, deadline_ns)) < 0 && errno != EINTR)
			return -errno;
		take_signals(w);
		for (i = 0; i < n; i++) {
			if (!fds[i + 2].revents || !child__ended(polled[i]))
				continue;
			report_death(w, polled[i]);
			lost |= polled[i] == needed;
		}
		if (w->interrupts)
			return -EINTR;
		keep_time(w);
		/* What it wrote before it died is still read first. */
		if (fd >= 0 && fds[1].revents & POLLIN)
			return 1;
		if (lost || (needed && needed->dead))
			return -ECHILD;
		if (fd >= 0 && fds[1].revents)
			return 1; /* end of the pipe: the reader sees it */
		if (clock__now() >= deadline_ns)
			return 0;
	}
}

int watch__poll(struct watch *w)
{
	int n = watch__wait(w, -1, 0, NULL);

	return n < 0 ? n : 0;
}
