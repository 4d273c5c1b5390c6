/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * When calls start and when they end. One epoll waits for the sockets of libcurl, for SIGTERM and
 * for a timerfd, which stands at whatever comes first: the next due call, the oldest call's
 * timeout, libcurl's own wish, the limit. A timerfd, as epoll_wait() and curl_multi_poll() count in
 * milliseconds; it has no timer slack either.
 *
 * Between any two events the clock is looked at again: a heap of answers does not delay the calls
 * that fall due meanwhile, and each answer has the time at which it was read.
 */
#include "load/http.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "stack/clock.h"

/* From the command to the first call: its slot is made by then. */
#define LOOP_LEAD_NS (2 * NS_PER_MS)
#define LOOP_EVENTS  64

/* ---- libcurl's wishes */

static int loop__on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
	struct http *http = arg;
	struct epoll_event e = {.data.fd = fd};

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		/* It may be closed already, and gone with that. */
		epoll_ctl(http->epoll, EPOLL_CTL_DEL, fd, &e);
		return 0;
	}
	e.events = (what & CURL_POLL_IN ? EPOLLIN : 0u) | (what & CURL_POLL_OUT ? EPOLLOUT : 0u);
	if (epoll_ctl(http->epoll, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &e))
		return -1; /* ends the transfer */
	if (!known)
		curl_multi_assign(http->multi, fd, http);
	return 0;
}

static int loop__on_timer(CURLM *multi, long timeout_ms, void *arg)
{
	struct http *http = arg;

	(void)multi;
	http->curl_ns = timeout_ms < 0 ? 0 : clock__now() + (uint64_t)timeout_ms * NS_PER_MS;
	return 0;
}

/* ---- ends */

/* Takes a call out of flight; one that libcurl has not ended loses its connection by that. */
static void loop__end(struct http *http, struct http_slot *s, uint64_t now, enum http_fate fate,
		      unsigned int code)
{
	struct http_run *run = http->run;
	const struct http_call *call = &run->calls.call[s->call];

	/* A caller has given up by then, even if the answer beat our own look at the clock. */
	if (now - call->start_ns > run->timeout_ns) {
		fate = HTTP_TIMEOUT;
		code = 0;
	}
	http_calls__end(&run->calls, s->call, now, fate, code);
	curl_multi_remove_handle(http->multi, s->easy);
	*(s->prev ? &s->prev->next : &http->oldest) = s->next;
	*(s->next ? &s->next->prev : &http->newest) = s->prev;
	if (!http->n_free)
		run->full_ns = now;
	http->free[http->n_free++] = s;
	run->in_flight--;
}

/* Ends the calls that libcurl has finished. */
static void loop__collect(struct http *http)
{
	uint64_t now = clock__now(); /* first: checking is not latency */
	unsigned int code;
	enum http_fate fate;
	struct http_slot *s;
	CURLMsg *m;
	int left;

	while ((m = curl_multi_info_read(http->multi, &left))) {
		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&s);
		fate = http_slot__judge(s, m->data.result, &code);
		loop__end(http, s, now, fate, code);
	}
}

static void loop__act(struct http *http, curl_socket_t fd, int what)
{
	int running;

	curl_multi_socket_action(http->multi, fd, what, &running);
	loop__collect(http);
}

/*
 * What libcurl wanted the timer for. Asked again afterwards: it says a time only once, and counts
 * in milliseconds, so that it may find the time not quite come.
 */
static void loop__act_in_time(struct http *http)
{
	long left_ms = -1;

	loop__act(http, CURL_SOCKET_TIMEOUT, 0);
	curl_multi_timeout(http->multi, &left_ms);
	loop__on_timer(http->multi, left_ms, http);
}

static void loop__expire(struct http *http)
{
	uint64_t now = clock__now();

	while (http->oldest) {
		struct http_slot *s = http->oldest;

		if (now - http->run->calls.call[s->call].start_ns < http->run->timeout_ns)
			break;
		loop__end(http, s, now, HTTP_TIMEOUT, 0);
	}
}

/* ---- starts */

static int loop__start(struct http *http, uint64_t due_ns)
{
	struct http_slot *s = http->free[http->n_free - 1];
	struct http_run *run = http->run;
	struct http_call *call = &run->calls.call[run->next];
	CURLMcode err = CURLM_OK;

	if (http_slot__prepare(s, run->next))
		return -ENOMEM;
	http->n_free--;
	run->next++;
	s->prev = http->newest;
	s->next = NULL;
	*(s->prev ? &s->prev->next : &http->oldest) = s;
	http->newest = s;
	if (++run->in_flight > run->peak)
		run->peak = run->in_flight;
	call->fate = HTTP_PENDING;
	call->start_ns = clock__now();
	call->due_ns = run->calls.open ? due_ns : call->start_ns;
	/* Of those that count as late, no others: see http_totals__of(). */
	run->waited += due_ns < run->full_ns && call->start_ns > call->due_ns + SCHEDULE_LATE_NS;
	err = curl_multi_add_handle(http->multi, s->easy);
	if (err) {
		loop__end(http, s, clock__now(), HTTP_OTHER, 0);
		return err == CURLM_OUT_OF_MEMORY ? -ENOMEM : 0;
	}
	/* Now, and not with the next event. */
	loop__act(http, CURL_SOCKET_TIMEOUT, 0);
	return 0;
}

static bool loop__may_start(const struct http *http)
{
	const struct http_run *run = http->run;

	return run->next < run->calls.n && !worker__should_stop(http->w, run->limit_ns);
}

/* Starts every call that is due and for which there is a connection. */
static int loop__start_due(struct http *http)
{
	struct http_run *run = http->run;
	uint64_t due = 0;
	int err = 0;

	while (!err && loop__may_start(http)) {
		if (run->calls.open) {
			due = schedule__at(&run->schedule, run->next);
			if (due > clock__now())
				break;
		}
		if (run->in_flight == run->concurrency)
			break;
		err = loop__start(http, due);
	}
	return err;
}

/* ---- the loop */

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a && (!b || a < b) ? a : b;
}

/* Sets the timer to the next thing to do. */
static int loop__set_timer(struct http *http)
{
	const struct http_run *run = http->run;
	struct itimerspec t = {0};
	uint64_t at = http->curl_ns;

	if (http->oldest)
		at = earlier(run->calls.call[http->oldest->call].start_ns + run->timeout_ns, at);
	if (loop__may_start(http)) {
		if (run->calls.open && run->in_flight < run->concurrency)
			at = earlier(schedule__at(&run->schedule, run->next), at);
		at = earlier(run->limit_ns, at);
	}
	if (at == http->timer_ns && at > clock__now())
		return 0;
	http->timer_ns = at;
	t.it_value.tv_sec = (time_t)(at / NS_PER_S);
	t.it_value.tv_nsec = (long)(at % NS_PER_S);
	return timerfd_settime(http->timer, TFD_TIMER_ABSTIME, &t, NULL) ? -errno : 0;
}

static int loop__handle(struct http *http, const struct epoll_event *e)
{
	int what = 0;

	/* The timer needs no reading: setting it anew does. SIGTERM is seen by all who ask. */
	if (e->data.fd == http->timer || e->data.fd == http->w->wake)
		return 0;
	if (e->events & (EPOLLIN | EPOLLHUP))
		what |= CURL_CSELECT_IN;
	if (e->events & EPOLLOUT)
		what |= CURL_CSELECT_OUT;
	if (e->events & EPOLLERR)
		what |= CURL_CSELECT_ERR;
	loop__act(http, e->data.fd, what);
	return loop__start_due(http);
}

static int loop__turn(struct http *http)
{
	struct epoll_event events[LOOP_EVENTS];
	int n, i, err;

	err = loop__set_timer(http);
	if (err)
		return err;
	n = epoll_wait(http->epoll, events, LOOP_EVENTS, -1);
	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	for (i = 0; !err && i < n; i++)
		err = loop__handle(http, &events[i]);
	if (http->curl_ns && clock__now() >= http->curl_ns)
		loop__act_in_time(http);
	loop__expire(http);
	return err ? err : loop__start_due(http);
}

/* The calls that were due and will not be made any more. */
static void loop__count_unsent(struct http_run *run)
{
	uint64_t now = clock__now();
	size_t i;

	for (i = run->next; run->calls.open && i < run->calls.n; i++) {
		if (schedule__at(&run->schedule, i) > now)
			break;
		run->unsent++;
	}
}

int http_loop__run(struct http *http)
{
	struct http_run *run = http->run;
	bool ending = false;
	int err;

	run->start_ns = run->schedule.start_ns =
		clock__now() + (run->calls.open ? LOOP_LEAD_NS : 0);
	err = loop__start_due(http);
	while (!err && (run->in_flight || loop__may_start(http))) {
		if (!ending && !loop__may_start(http)) {
			ending = true;
			loop__count_unsent(run);
		}
		if (atomic_load(&http->w->stop))
			break;
		err = loop__turn(http);
	}
	if (!ending)
		loop__count_unsent(run);
	/* After SIGTERM or an error: these had less than their time, which is no timeout. */
	while (http->oldest)
		loop__end(http, http->oldest, clock__now(), HTTP_OTHER, 0);
	run->end_ns = clock__now();
	return err;
}

static int loop__watch(struct http *http, int fd)
{
	struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};

	return epoll_ctl(http->epoll, EPOLL_CTL_ADD, fd, &e) ? -errno : 0;
}

int http_loop__init(struct http *http)
{
	struct fault *f = &http->w->fault;
	int err;

	http->multi = curl_multi_init();
	if (!http->multi)
		return fault__set(f, -ENOMEM, "cannot start the client", "out of memory");
	curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, loop__on_socket);
	curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http);
	curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, loop__on_timer);
	curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http);
	curl_multi_setopt(http->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
	curl_multi_setopt(http->multi, CURLMOPT_MAXCONNECTS, (long)http->n);

	http->epoll = epoll_create1(EPOLL_CLOEXEC);
	http->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	err = http->epoll < 0 || http->timer < 0 ? -errno : 0;
	if (!err)
		err = loop__watch(http, http->timer);
	if (!err)
		err = loop__watch(http, http->w->wake);
	return err ? fault__set(f, err, "cannot start the client", "%s", strerror(-err)) : 0;
}

void http_loop__free(struct http *http)
{
	if (http->multi)
		curl_multi_cleanup(http->multi);
	if (http->epoll >= 0)
		close(http->epoll);
	if (http->timer >= 0)
		close(http->timer);
}
