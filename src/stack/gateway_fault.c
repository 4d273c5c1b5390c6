// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What is done to a running service on purpose. */
#include <errno.h>
#include <string.h>

#include "log.h"
#include "stack/clock.h"
#include "stack/gateway_internal.h"
#include "stack/sockets.h"

#define FREEZE_MS 2000

static const char *const words[] = {[GATEWAY_DOWN] = "is not running",
				    [GATEWAY_UP] = "is running",
				    [GATEWAY_PAUSED] = "is paused",
				    [GATEWAY_DIED] = "has ended on its own"};

static void begin(struct gateway_span *when)
{
	if (when)
		when->begin_ns = when->end_ns = clock__now();
}

static int end(struct gateway_span *when, int err)
{
	if (when)
		when->end_ns = clock__now();
	return err;
}

static int refuse(struct gateway *g, enum gateway_id id, const char *what)
{
	return log_fail(-EINVAL, "cannot %s %s: it %s", what, gateway__name(id),
			words[gateway__state(g, id)]);
}

static int thaw(struct gateway *g, enum gateway_id id)
{
	int err = cgroup__freeze(&g->service[id].cgroup, false, FREEZE_MS);

	return err ? log_fail(err, "cannot resume %s: %s", gateway__name(id), strerror(-err)) : 0;
}

static bool lives(struct gateway *g, enum gateway_id id)
{
	enum gateway_state state = gateway__state(g, id);

	return state == GATEWAY_UP || state == GATEWAY_PAUSED;
}

int gateway__terminate(struct gateway *g, enum gateway_id id, unsigned int grace_ms,
		       struct gateway_span *when)
{
	int err = 0;

	if (!lives(g, id))
		return refuse(g, id, "terminate");
	begin(when);
	if (g->service[id].state == GATEWAY_PAUSED)
		err = thaw(g, id);
	if (!err)
		err = gateway__end_process(g, id, grace_ms ? grace_ms : 1);
	return end(when, err);
}

int gateway__kill(struct gateway *g, enum gateway_id id, struct gateway_span *when)
{
	bool paused = gateway__state(g, id) == GATEWAY_PAUSED;
	int err;

	if (!lives(g, id))
		return refuse(g, id, "kill");
	begin(when);
	err = gateway__end_process(g, id, 0);
	end(when, err);
	/* The next process in this cgroup is not to be born frozen. */
	return !err && paused ? thaw(g, id) : err;
}

int gateway__launch(struct gateway *g, enum gateway_id id, struct gateway_span *when)
{
	int err = 0;

	if (id == GATEWAY_CLIENT || lives(g, id))
		return refuse(g, id, "start");
	begin(when);
	/* What an unexpected end has left: workers, a descriptor. */
	if (g->service[id].state == GATEWAY_DIED)
		err = gateway__end_process(g, id, 0);
	if (!err)
		err = gateway__start_process(g, id);
	return end(when, err);
}

int gateway__pause(struct gateway *g, enum gateway_id id, struct gateway_span *when)
{
	int err;

	if (gateway__state(g, id) != GATEWAY_UP)
		return refuse(g, id, "pause");
	begin(when);
	err = cgroup__freeze(&g->service[id].cgroup, true, FREEZE_MS);
	if (err) {
		cgroup__freeze(&g->service[id].cgroup, false, FREEZE_MS);
		return log_fail(err, "cannot pause %s: %s", gateway__name(id), strerror(-err));
	}
	g->service[id].state = GATEWAY_PAUSED;
	return end(when, 0);
}

int gateway__resume(struct gateway *g, enum gateway_id id, struct gateway_span *when)
{
	int err;

	if (gateway__state(g, id) != GATEWAY_PAUSED)
		return refuse(g, id, "resume");
	begin(when);
	err = thaw(g, id);
	if (!err)
		g->service[id].state = GATEWAY_UP;
	return end(when, err);
}

int gateway__reset(struct gateway *g, enum gateway_id id, unsigned int *n,
		   struct gateway_span *when)
{
	int err;

	begin(when);
	err = sockets__abort(g->service[id].cgroup.id, n);
	end(when, err);
	if (err == -EOPNOTSUPP)
		return log_fail(err, "cannot reset connections: this kernel has no "
				     "CONFIG_INET_DIAG_DESTROY");
	return err ? log_fail(err, "cannot reset the connections of %s: %s", gateway__name(id),
			      strerror(-err))
		   : 0;
}
