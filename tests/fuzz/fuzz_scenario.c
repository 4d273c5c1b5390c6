/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Scenario files: read, indexed and judged by the loaders of all kinds, whatever they say they are.
 */
#include "file.h"

#include <string.h>

#include "bench/scenario.h"
#include "bench/scenario_file.h"
#include "gateway/scenario.h"
#include "portforward/scenario.h"

static int take(void *ctx, const char *key, const char *value)
{
	size_t *n = ctx;

	MUST(key[0] && value);
	*n += strlen(key) + strlen(value);
	return 0;
}

static void port_forward(const char *path, size_t *n)
{
	struct pf_scenario *s = pf_scenario__load(path);
	struct pf_opts opts;

	if (!s)
		return;
	MUST(s->name && s->n_used <= PF_WAYS && s->n_points <= PF_MAX_POINTS);
	MUST(s->load.rounds > 0 && s->load.seconds > 0);
	pf_scenario__settings(s, take, n);
	pf_scenario__stack(s, &opts);
	MUST(*n);
	pf_scenario__free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const char *path = fuzz__file(data, len);
	struct gw_scenario *gateway;
	struct scenario *nats;
	size_t n = 0;
	int kind;

	fuzz__nowhere();
	kind = scenario_file__kind(path);
	MUST(kind < SCENARIO_KINDS);
	nats = scenario__load(path);
	if (nats) {
		MUST(nats->n_paths <= PATH_COUNT && nats->name);
		scenario__settings(nats, take, &n);
		MUST(n);
		scenario__free(nats);
	}
	gateway = gw_scenario__load(path);
	if (gateway) {
		struct gateway_opts opts;

		MUST(gateway->name);
		gw_scenario__settings(gateway, take, &n);
		gw_scenario__stack(gateway, &opts);
		MUST(n);
		gw_scenario__free(gateway);
	}
	port_forward(path, &n);
	return 0;
}
