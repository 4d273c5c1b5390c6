// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Memory in the report: what the services hold, and what grew under the load. */
#include <math.h>

#include "out/md.h"
#include "out/session.h"

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define SPARK_POINTS 24

static void add_services(struct text *out, const json_t *phase)
{
	const json_t *m = session__get(phase, "memory"), *services = session__get(m, "services");
	struct estimate each = session__get_estimate(m, "per_service_bytes");
	static const char *const keys[] = {"current_bytes", "anon_bytes", "file_bytes"};

	if (!m)
		return;
	text__add(out, "| | |\n|---|---|\n");
	md__row_value(out, "before the services", session__get_number(m, "baseline_bytes"),
		      "bytes");
	md__row_value(out, "with the services", session__get_number(m, "total_bytes"), "bytes");
	text__add(out, "| per service | ");
	md__estimate(out, &each, "bytes");
	text__add(out, " |\n\n");
	if (!json_array_size(services))
		return;
	text__add(out,
		  "| service | cgroup | current | anonymous | file |\n|---|---|---|---|---|\n");
	for (size_t i = 0; i < json_array_size(services); i++) {
		const json_t *s = json_array_get(services, i);

		text__add(out, "| ");
		md__text(out, session__get_text(s, "name"));
		text__add(out, " | ");
		md__code(out, session__get_text(s, "cgroup"));
		for (size_t k = 0; k < ARRAY_LEN(keys); k++) {
			text__add(out, " | ");
			md__value(out, session__get_number(s, keys[k]), "bytes");
		}
		text__add(out, " |\n");
	}
	text__add(out, "\n");
}

/* What it held, evenly over the watch, between its least and its most. */
void md__readings(struct text *out, const json_t *readings)
{
	double v[SPARK_POINTS];
	size_t n = json_array_size(readings), points = n < SPARK_POINTS ? n : SPARK_POINTS;
	double least = INFINITY, most = -INFINITY;

	for (size_t i = 0; i < n; i++) {
		double b = json_number_value(json_array_get(json_array_get(readings, i), 1));

		least = fmin(least, b);
		most = fmax(most, b);
	}
	for (size_t i = 0; i < points; i++)
		v[i] = json_number_value(json_array_get(
			json_array_get(readings, i * (n - 1) / (points > 1 ? points - 1 : 1)), 1));
	md__sparkline(out, v, points, least, most);
}

static double reading(const json_t *readings, size_t i)
{
	return json_array_size(readings)
		       ? json_number_value(json_array_get(json_array_get(readings, i), 1))
		       : NAN;
}

static void add_growth(struct text *out, const json_t *phase)
{
	const json_t *list = session__get(phase, "growth");

	if (!json_array_size(list))
		return;
	text__add(out,
		  "Anonymous memory and swap, read while the load went on. Page cache is left out: "
		  "it "
		  "is given back when it is needed.\n\n"
		  "| container | first | last | | slope (interval) | smallest slope to be seen | "
		  "verdict | reason |\n|---|---|---|---|---|---|---|---|\n");
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *c = json_array_get(list, i), *r = session__get(c, "readings");
		struct estimate slope = session__get_estimate(c, "bytes_per_hour");
		size_t n = json_array_size(r);

		text__add(out, "| ");
		md__text(out, session__get_text(c, "name"));
		text__add(out, " | ");
		md__value(out, reading(r, 0), "bytes");
		text__add(out, " | ");
		md__value(out, reading(r, n ? n - 1 : 0), "bytes");
		text__add(out, " | ");
		md__readings(out, r);
		text__add(out, " | ");
		md__estimate(out, &slope, "bytes/h");
		text__add(out, " | ");
		md__value(out, session__get_number(c, "min_detectable_bytes_per_hour"), "bytes/h");
		text__add(out, " | ");
		md__text(out, session__get_text(c, "verdict"));
		text__add(out, " | ");
		md__text(out, session__get_text(c, "reason"));
		text__add(out, " |\n");
	}
	text__add(out, "\n");
}

void md__memory(struct text *out, const json_t *phase)
{
	add_services(out, phase);
	add_growth(out, phase);
}
