// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "probe/live.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "probe/confine.h"

#define NOTICE_NS 100000000ull
#define DECIDE_NS 20000000ull /* a container that is waited for is not to send unseen */
#define TLS_NS	  5000000ull  /* a program that begins is to be probed before it sends */

static volatile sig_atomic_t stop_signal;

static void on_signal(int sig)
{
	/* The second one ends the process where it is: the kernel detaches what it held. */
	if (stop_signal)
		_exit(128 + sig);
	stop_signal = sig;
}

/* ---- options */

int live__set_ns(const char *option, const char *arg, double lo, double hi, double unit,
		 uint64_t *out)
{
	double v;
	int err = filter__real(option, arg, lo, hi, &v);

	*out = err ? 0 : (uint64_t)(v * unit);
	return err;
}

int live__set_count(const char *option, const char *arg, long lo, long hi, uint32_t *out)
{
	long v = filter__number(option, arg, lo, hi);

	*out = v < 0 ? 0 : (uint32_t)v;
	return v < 0 ? (int)v : 0;
}

static int set_tls(struct live *l, const char *arg)
{
	if (strcmp(arg, "auto") == 0)
		l->tls = LIVE_TLS_AUTO;
	else if (strcmp(arg, "on") == 0)
		l->tls = LIVE_TLS_ON;
	else if (strcmp(arg, "off") == 0)
		l->tls = LIVE_TLS_OFF;
	else
		return log_fail(-EINVAL, "--tls %s: on, off or auto", arg);
	return 0;
}

/* A machine's whole TLS is not slowed down without being asked. */
static bool wants_tls(const struct live *l)
{
	const struct wire_opts *w = &l->wire;
	char missing[128];

	if (l->tls != LIVE_TLS_AUTO)
		return l->tls == LIVE_TLS_ON;
	if (!(w->n_pids || w->n_comms || w->n_cgroups || w->n_containers || w->n_pods))
		return false;
	/* With nothing at all, wire__open() says what is missing. */
	if (privileges__suffice(PRIVILEGES_TLS, missing, sizeof(missing)) ||
	    !privileges__suffice(PRIVILEGES_TRACE, missing, sizeof(missing)))
		return true;
	privileges__suffice(PRIVILEGES_TLS, missing, sizeof(missing));
	log_warn("TLS connections are not read: without %s (docs/privileges.md)", missing);
	return false;
}

int live__option(struct live *l, int opt, const char *arg)
{
	struct wire_opts *w = &l->wire;

	switch (opt) {
	case 'd': return filter__real("--duration", arg, 0.1, 1e7, &l->seconds);
	case 'i': return filter__real("--interval", arg, 0.05, 86400, &l->interval);
	case 'q': log_quiet = true; return 0;
	case 'v': log_verbose = true; return 0;
	case LIVE_OPT_JSON: l->json = true; return 0;
	case LIVE_OPT_OVERHEAD: l->overhead = true; return 0;
	case LIVE_OPT_TLS: return set_tls(l, arg);
	case LIVE_OPT_TIMEOUT:
		return live__set_ns("--timeout", arg, 0.01, 3600, 1e9, &w->timeout_ns);
	case LIVE_OPT_MAX_ROUTES:
		return live__set_count("--max-routes", arg, 2, 32768, &w->max_routes);
	case LIVE_OPT_MAX_SERIES:
		return live__set_count("--max-series", arg, 1, 65536, &w->max_series);
	}
	return filter__option(opt, arg, w, &l->view);
}

/* ---- the watch */

static void drain(struct live *l)
{
	if (l->drain)
		l->drain(l->ctx);
}

/* Reads, prints what happened since the last reading, and keeps the reading. */
static int tick(struct live *l)
{
	struct snapshot now, delta;
	int err = wire__read(l->probe, &now);

	if (err)
		return err;
	drain(l);
	err = snapshot__delta(&delta, &now, &l->last);
	if (!err) {
		err = l->print(l->ctx, &delta, false);
		snapshot__free(&delta);
	}
	snapshot__free(&l->last);
	l->last = now;
	return err;
}

static int total(struct live *l)
{
	struct snapshot now, delta;
	int err = wire__read(l->probe, &now);

	if (err)
		return err;
	drain(l);
	err = snapshot__delta(&delta, &now, &l->first);
	snapshot__free(&now);
	if (err)
		return err;
	if (!delta.acct.seen && !delta.n_series)
		log_info("no message was seen; %sUnix sockets cannot be read, and a connection is "
			 "recognised by its next message",
			 l->wire.tls ? "" : "TLS is read with --tls on only, ");
	err = l->print(l->ctx, &delta, true);
	snapshot__free(&delta);
	return err;
}

/* How long it may sleep. */
static uint64_t step_ns(const struct live *l)
{
	uint64_t ns = l->wire.n_containers || l->wire.n_pods ? DECIDE_NS : NOTICE_NS;

	ns = l->wire.tls ? TLS_NS : ns;
	return l->drain_ns && l->drain_ns < ns ? l->drain_ns : ns;
}

/*
 * Sleeps until `at`; a signal ends it early. In between it drains the ring before that is full, and
 * learns the names of containers before they are gone.
 */
static void sleep_until(struct live *l, uint64_t at)
{
	uint64_t now, step;
	struct timespec ts;

	for (;;) {
		clock_gettime(CLOCK_MONOTONIC, &ts);
		now = (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
		if (stop_signal || now >= at)
			return;
		step = now + step_ns(l) < at ? now + step_ns(l) : at;
		ts.tv_sec = (time_t)(step / 1000000000);
		ts.tv_nsec = (long)(step % 1000000000);
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
		if (step != at)
			drain(l);
		wire__notice(l->probe);
	}
}

static int watch(struct live *l)
{
	uint64_t interval = (uint64_t)(l->interval * 1e9), at = l->first.time_ns;
	uint64_t end = l->seconds > 0 ? at + (uint64_t)(l->seconds * 1e9) : UINT64_MAX;
	int err = 0;

	while (!err && !stop_signal && at < end) {
		at = at + interval < end ? at + interval : end;
		sleep_until(l, at);
		err = tick(l);
	}
	if (err)
		return err;
	wire__detach(l->probe);
	return total(l);
}

/*
 * Counters begin at 0 with the attach. A first reading under load would not be a better base: what
 * ends while it is taken is in one of its parts and not yet in another, and would be missing in the
 * total.
 */
static int begin(struct live *l)
{
	struct snapshot now;
	int err = wire__read(l->probe, &now); /* learns who owns the sockets that are there */

	if (err)
		return err;
	l->first.time_ns = now.time_ns;
	l->first.user_cpu_s = now.user_cpu_s;
	l->first.settled = true;
	l->last = l->first;
	snapshot__free(&now);
	return 0;
}

int live__run(struct live *l)
{
	struct sigaction sa = {.sa_handler = on_signal};
	int err;

	l->wire.tls = wants_tls(l);
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	err = wire__open(&l->probe, &l->wire);
	if (err)
		return err;
	if (l->overhead) {
		err = wire__statistics(l->probe, true);
		if (err)
			log_fail(err, "--overhead: cannot turn BPF statistics on: %s%s",
				 strerror(-err), err == -EPERM ? " (needs CAP_SYS_ADMIN)" : "");
	}
	if (!err)
		drain(l); /* which also says what is to come there, before anything does */
	err = err ? err : wire__attach(l->probe);
	err = err ? err : confine__running(l->wire.tls ? PRIVILEGES_TLS : PRIVILEGES_TRACE);
	err = err ? err : begin(l);
	if (!err) {
		log_info("%s; Ctrl-C ends it", l->doing);
		err = watch(l);
	}
	snapshot__free(&l->first);
	snapshot__free(&l->last);
	wire__close(l->probe);
	l->probe = NULL;
	return err;
}
