/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "load/worker.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "load/worker.h"
#include "log.h"
#include "stack/clock.h"

#define WORKER_LINE_MAX (4u << 20)
#define WORKER_DRAIN_MS 2000

static const struct load_role *const roles[] = {
#define LOAD_ROLE_ROW(name) &load_role_##name,
	LOAD_ROLES(LOAD_ROLE_ROW)
#undef LOAD_ROLE_ROW
};

/* SIGTERM, waited for by a thread of its own so that it interrupts no write of nats.c's threads. */
struct terminator {
	struct worker *w;
	int wake; /* eventfd */
	bool running;
	atomic_bool ended;
	pthread_t thread;
	sigset_t set;
};

struct input {
	int wake;
	char *buf;
	size_t len;
	size_t cap;
	size_t used; /* bytes of the line given out last */
};

bool worker__should_stop(const struct worker *w, uint64_t limit_ns)
{
	return atomic_load_explicit(&w->stop, memory_order_relaxed) ||
	       (limit_ns && clock__now() > limit_ns);
}

static void *terminator__run(void *arg)
{
	struct terminator *t = arg;
	uint64_t one = 1;
	int sig;

	sigwait(&t->set, &sig);
	if (atomic_load(&t->ended))
		return NULL;
	atomic_store(&t->w->stop, true);
	if (write(t->wake, &one, sizeof(one)) != sizeof(one))
		_exit(EXIT_RUNTIME);
	/* The second time by force: whatever is under way may be what hangs. */
	sigwait(&t->set, &sig);
	if (!atomic_load(&t->ended))
		_exit(128 + SIGTERM);
	return NULL;
}

static int terminator__start(struct terminator *t, struct worker *w)
{
	pthread_attr_t attr;
	int err;

	t->w = w;
	t->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (t->wake < 0)
		return -errno;
	signal(SIGINT, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&t->set);
	sigaddset(&t->set, SIGTERM);
	sigaddset(&t->set, SIGUSR1); /* our own: to end the thread */
	/* Before any other thread: they inherit the mask. */
	pthread_sigmask(SIG_BLOCK, &t->set, NULL);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 64 * 1024);
	err = -pthread_create(&t->thread, &attr, terminator__run, t);
	pthread_attr_destroy(&attr);
	t->running = err == 0;
	return err;
}

static void terminator__end(struct terminator *t)
{
	if (t->running) {
		atomic_store(&t->ended, true);
		pthread_kill(t->thread, SIGUSR1);
		pthread_join(t->thread, NULL);
	}
	if (t->wake >= 0)
		close(t->wake);
}

/* Waits until stdin can be read. False: SIGTERM came first. */
static bool input__wait(const struct input *in)
{
	struct pollfd fds[2] = {
		{.fd = STDIN_FILENO, .events = POLLIN},
		{.fd = in->wake, .events = POLLIN},
	};

	while (poll(fds, 2, -1) < 0 && errno == EINTR)
		;
	return !(fds[1].revents & POLLIN);
}

/*
 * The next line without its newline, valid until the next call. NULL: the end of stdin, SIGTERM, a
 * read error or a line without an end; the worker stops in every case. (stdio would block in a
 * read that SIGTERM, blocked here, could not end.)
 */
static char *input__line(struct input *in)
{
	char *end, *grown;
	ssize_t n;

	memmove(in->buf, in->buf + in->used, in->len - in->used);
	in->len -= in->used;
	in->used = 0;
	for (;;) {
		end = in->len ? memchr(in->buf, '\n', in->len) : NULL;
		if (end) {
			*end = '\0';
			in->used = (size_t)(end - in->buf) + 1;
			return in->buf;
		}
		if (in->len == in->cap) {
			grown = in->cap < WORKER_LINE_MAX ? realloc(in->buf, in->cap * 2) : NULL;
			if (!grown)
				return NULL;
			in->buf = grown;
			in->cap *= 2;
		}
		if (!input__wait(in))
			return NULL;
		n = read(STDIN_FILENO, in->buf + in->len, in->cap - in->len);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n <= 0)
			return NULL;
		in->len += (size_t)n;
	}
}

/* Prints one event and drops it. False: nobody reads any more, or no memory. */
static bool worker__emit(json_t *event)
{
	bool ok = event && json_dumpf(event, stdout, JSON_COMPACT) == 0 && putchar('\n') != EOF &&
		  fflush(stdout) == 0;

	json_decref(event);
	return ok;
}

static json_t *worker__stats(struct worker *w, bool final)
{
	json_t *o = json_pack("{s:s,s:s,s:s,s:i,s:b,s:I}", "event", "stats", "role", w->role->name,
			      "name", w->name, "pid", (int)getpid(), "final", final, "time_ns",
			      (json_int_t)clock__now());

	if (!o)
		return NULL;
	if (!w->role->no_pool)
		pool__stats(&w->pool, o);
	w->role->stats(w, o);
	return o;
}

static int worker__configure(struct worker *w, const json_t *config)
{
	struct fault *f = &w->fault;
	const char *role, *name;

	if (args__string(config, "role", w->role->name, &role, f) ||
	    args__string(config, "name", w->role->name, &name, f))
		return f->err;
	if (strcmp(role, w->role->name) != 0)
		return fault__set(f, -EINVAL, "cannot read the configuration",
				  "it is for the role \"%s\", this worker is \"%s\"", role,
				  w->role->name);
	snprintf(w->name, sizeof(w->name), "%s", name);
	return 0;
}

static int worker__configure_pool(struct worker *w, const json_t *config, struct pool_config *c)
{
	struct fault *f = &w->fault;
	long long n, connect_ms;

	if (args__strings(config, "url", &c->urls, &c->n_urls, f) ||
	    args__strings(config, "probe_url", &c->probe_urls, &c->n_probe_urls, f) ||
	    args__count(config, "pool", w->role->default_pool, 1, w->role->max_pool, &n, f) ||
	    args__count(config, "connect_timeout_ms", 5000, 0, 600000, &connect_ms, f))
		return f->err;
	if (!c->n_urls)
		return fault__set(f, -EINVAL, "cannot read the configuration",
				  "\"urls\" names no server");
	c->name = w->name;
	c->n = (size_t)n;
	c->send_asap = w->role->send_asap;
	c->connect_timeout_ms = (unsigned int)connect_ms;
	return 0;
}

/* A role on NATS: connected before it starts, and ready when every node knows its subscriptions. */
static int worker__start_pooled(struct worker *w, const json_t *config)
{
	struct pool_config c = {0};
	int err = worker__configure_pool(w, config, &c);

	if (!err)
		err = pool__open(&w->pool, &c, &w->fault);
	if (!err)
		err = w->role->start(w, config);
	if (!err) {
		const char **urls = c.probe_urls;

		if (!c.n_probe_urls) {
			c.probe_urls = c.urls;
			c.n_probe_urls = c.n_urls;
		}
		err = pool__await_interest(&w->pool, &c, c.connect_timeout_ms, &w->fault);
		c.probe_urls = urls;
	}
	free(c.urls);
	free(c.probe_urls);
	return err;
}

static int worker__start(struct worker *w, const char *line)
{
	json_error_t e;
	json_t *config = line ? json_loads(line, 0, &e) : NULL;
	int err;

	if (!json_is_object(config))
		err = fault__set(&w->fault, -EINVAL, "cannot read the configuration",
				 line ? "the first line on stdin is not a JSON object"
				      : "stdin ended before the first line");
	else
		err = worker__configure(w, config);
	if (!err)
		err = w->role->no_pool ? w->role->start(w, config)
				       : worker__start_pooled(w, config);
	json_decref(config);
	return err;
}

/* Carries out one line. Returns its answer, NULL without memory; *quit: this was the last one. */
static json_t *worker__command(struct worker *w, const char *line, bool *quit)
{
	const char *cmd = NULL;
	json_t *args, *answer = NULL;
	json_error_t e;

	memset(&w->fault, 0, sizeof(w->fault));
	args = json_loads(line, 0, &e);
	if (json_is_object(args))
		cmd = json_string_value(json_object_get(args, "cmd"));
	if (!cmd) {
		fault__set(&w->fault, -EINVAL, "cannot read a command",
			   "not a JSON object with \"cmd\"");
	} else if (strcmp(cmd, "quit") == 0) {
		*quit = true;
	} else if (strcmp(cmd, "stats") == 0) {
		answer = worker__stats(w, false);
	} else {
		answer = w->role->command(w, cmd, args);
		if (!answer && w->fault.err == -ENOSYS)
			fault__set(&w->fault, -ENOSYS, "cannot carry out a command",
				   "a %s does not know \"%s\"", w->role->name, cmd);
	}
	json_decref(args);
	if (!answer && !*quit) {
		if (!w->fault.err)
			fault__set(&w->fault, -ENOMEM, "cannot answer", "out of memory");
		answer = fault__event(&w->fault);
	}
	return answer;
}

static void worker__stop(struct worker *w)
{
	if (w->role->stop)
		w->role->stop(w);
	if (!w->role->no_pool)
		pool__close(&w->pool, WORKER_DRAIN_MS);
}

static int worker__serve(struct worker *w, struct input *in)
{
	bool quit = false, ok;
	json_t *answer;
	char *line;

	ok = worker__emit(json_pack("{s:s,s:i,s:s,s:s}", "event", "ready", "pid", (int)getpid(),
				    "role", w->role->name, "name", w->name));
	while (ok && !quit) {
		line = input__line(in);
		if (!line)
			break;
		answer = worker__command(w, line, &quit);
		if (!quit)
			ok = worker__emit(answer);
	}
	worker__stop(w);
	/* After draining, so that it counts everything. */
	if (ok)
		ok = worker__emit(worker__stats(w, true));
	return ok ? EXIT_PASS : EXIT_RUNTIME;
}

/* The parent's death kills; the race that it was dead before that was asked for is closed too. */
static int worker__follow(pid_t parent)
{
	pid_t before = getppid();

	/* The program was /proc/self/exe: it would be called "exe" in waterfalls. */
	if (prctl(PR_SET_NAME, "hopscope") < 0 ||
	    prctl(PR_SET_PDEATHSIG, (unsigned long)SIGKILL) < 0)
		return -errno;
	if (getppid() != (parent ? parent : before))
		return -ESRCH;
	return 0;
}

int worker__main(const char *role, pid_t parent)
{
	struct worker *w = calloc(1, sizeof(*w));
	struct terminator term = {.wake = -1};
	struct input in = {.cap = 4096};
	int err, code = EXIT_RUNTIME;
	size_t i;

	in.buf = malloc(in.cap);
	if (!w || !in.buf) {
		log_fail(-ENOMEM, "cannot start a worker: out of memory");
		goto out;
	}
	for (i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
		if (strcmp(roles[i]->name, role) == 0)
			w->role = roles[i];
	}
	if (!w->role) {
		log_fail(-EINVAL, "cannot start a worker: there is no role \"%s\"", role);
		code = EXIT_USAGE;
		goto out;
	}
	err = worker__follow(parent);
	if (!err)
		err = terminator__start(&term, w);
	if (err) {
		log_fail(err, "cannot start a worker: %s", strerror(-err));
		goto out;
	}
	in.wake = term.wake;
	w->wake = term.wake;

	if (worker__start(w, input__line(&in)) == 0) {
		code = worker__serve(w, &in);
	} else {
		worker__emit(fault__event(&w->fault));
		worker__stop(w);
	}
	if (!w->role->no_pool)
		pool__free(&w->pool);
	w->role->free(w);
out:
	terminator__end(&term);
	free(in.buf);
	free(w);
	return code;
}
