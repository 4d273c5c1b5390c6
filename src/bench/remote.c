// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/remote.h"
#include "log.h"
#include "stack/clock.h"
#include "stack/file.h"

#define MAX_LINE   (256u << 20) /* a run of a million recorded calls */
#define TAIL_LINES 5

int remote__start(struct remote *r, const char *name, json_t *config, const struct cgroup *cgroup,
		  const struct netns *netns, const char *log, struct watch *watch)
{
	const char *role = json_string_value(json_object_get(config, "role"));
	char parent[16];
	char *argv[] = {"/proc/self/exe", "__worker", (char *)role, parent, NULL};
	struct child_spec spec = {.name = name,
				  .argv = argv,
				  .log = log,
				  .cgroup = cgroup,
				  .pipes = true,
				  .netns = netns};
	char *line;
	int err;

	memset(r, 0, sizeof(*r));
	r->watch = watch;
	snprintf(parent, sizeof(parent), "%d", (int)getpid());
	err = role ? child__start(&r->child, &spec) : -ENOMEM;
	if (!err)
		err = watch__add(watch, &r->child);
	line = json_dumps(config, JSON_COMPACT);
	json_decref(config);
	if (!err && !line)
		err = -ENOMEM;
	/* A full pipe means a worker that does not read: an error at once, not a wait. */
	if (!err && fcntl(r->child.in, F_SETFL, O_NONBLOCK))
		err = -errno;
	if (!err && dprintf(r->child.in, "%s\n", line) < 0)
		err = log_fail(-EPIPE, "%s does not take its configuration", name);
	free(line);
	return err;
}

/* Reads more. 0, -EPIPE at the end, or negative errno. */
static int read_more(struct remote *r)
{
	ssize_t n;

	if (r->len + 1 >= r->size) {
		size_t size = r->size ? 2 * r->size : 65536;
		char *buf = size <= MAX_LINE ? realloc(r->buf, size) : NULL;

		if (!buf)
			return -ENOMEM;
		r->buf = buf;
		r->size = size;
	}
	do
		n = read(r->child.out, r->buf + r->len, r->size - r->len - 1);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return n ? -errno : -EPIPE;
	r->len += (size_t)n;
	return 0;
}

/* The next line as JSON; waits for it. */
static int next_line(struct remote *r, uint64_t deadline_ns, json_t **out)
{
	size_t searched = 0;
	char *end;
	int err;

	*out = NULL;
	while (!(end = r->len > searched ? memchr(r->buf + searched, '\n', r->len - searched)
					 : NULL)) {
		searched = r->len;
		err = watch__wait(r->watch, r->child.out, deadline_ns, &r->child);
		if (err == 0)
			return -ETIMEDOUT;
		if (err > 0)
			err = read_more(r);
		/* The end of its output comes before its end: give that a moment to show. */
		if (err == -EPIPE) {
			watch__wait(r->watch, -1, clock__now() + NS_PER_S, &r->child);
			return -ECHILD;
		}
		if (err)
			return err;
	}
	*end = '\0';
	*out = json_loads(r->buf, 0, NULL);
	r->len -= (size_t)(end + 1 - r->buf);
	memmove(r->buf, end + 1, r->len);
	return *out ? 0 : -EPROTO;
}

/* It is of no use any more: it is ended, and its death is nobody's surprise. */
static void give_up(struct remote *r)
{
	struct child *self = &r->child;

	if (r->lost)
		return;
	r->lost = true;
	if (!r->child.dead) {
		watch__forget(r->watch, self);
		child__stop_all(&self, 1, 0, -1);
	}
}

static const char *text_of(const json_t *answer, const char *key)
{
	const char *s = json_string_value(json_object_get(answer, key));

	return s ? s : "?";
}

/* An answer, or what stands in its way, said once. */
static int receive(struct remote *r, unsigned int timeout_ms, const char *what, json_t **answer)
{
	int err = next_line(r, clock__now() + timeout_ms * NS_PER_MS, answer);
	char tail[1024];

	if (!err && !strcmp(text_of(*answer, "event"), "error")) {
		err = log_fail(-EREMOTEIO, "%s: %s: %s", r->child.name, text_of(*answer, "what"),
			       text_of(*answer, "why"));
		json_decref(*answer);
		*answer = NULL;
		return err;
	}
	if (!err || err == -EINTR)
		return err;
	if (err == -ETIMEDOUT)
		log_fail(err, "%s did not %s within %u ms; the last lines of its log:\n%s",
			 r->child.name, what, timeout_ms,
			 file__tail(r->child.log, TAIL_LINES, tail, sizeof(tail)));
	else if (err != -ECHILD) /* a death has been reported where it was noticed */
		log_fail(err, "%s: cannot read its answer: %s", r->child.name, strerror(-err));
	give_up(r);
	return err;
}

int remote__await_ready(struct remote *r, unsigned int timeout_ms)
{
	json_t *answer;
	int err = receive(r, timeout_ms, "become ready", &answer);

	if (err)
		return err;
	if (strcmp(text_of(answer, "event"), "ready") != 0)
		err = log_fail(-EPROTO, "%s said '%s' and not that it is ready", r->child.name,
			       text_of(answer, "event"));
	json_decref(answer);
	return err;
}

int remote__send(struct remote *r, json_t *command)
{
	char *line = command ? json_dumps(command, JSON_COMPACT) : NULL;
	int err = 0;

	json_decref(command);
	if (!line)
		err = log_fail(-ENOMEM, "out of memory");
	else if (r->lost)
		err = -ECHILD;
	/* A worker that takes no command has died or hangs: the wait for its answer says which. */
	else if (dprintf(r->child.in, "%s\n", line) < 0)
		log_debug("%s does not take a command: %s", r->child.name, strerror(errno));
	free(line);
	return err;
}

int remote__answer(struct remote *r, unsigned int timeout_ms, json_t **answer)
{
	*answer = NULL;
	return r->lost ? -ECHILD : receive(r, timeout_ms, "answer", answer);
}

int remote__call(struct remote *r, json_t *command, unsigned int timeout_ms, json_t **answer)
{
	int err = remote__send(r, command);

	*answer = NULL;
	return err ? err : remote__answer(r, timeout_ms, answer);
}

void remote__free(struct remote *r)
{
	free(r->buf);
	r->buf = NULL;
	r->len = r->size = 0;
}
