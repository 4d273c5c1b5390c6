/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <stddef.h>

#include "out/session_fields.h"

static const struct field estimate_fields[] = {
	{"value", NUMBER, NULL}, {"ci_low", NUMBER, NULL}, {"ci_high", NUMBER, NULL},
	{"n", COUNT, NULL},	 {NULL, 0, NULL},
};

static const struct field quantile_fields[] = {
	{"p50", OBJECT, estimate_fields},  {"p90", OBJECT, estimate_fields},
	{"p95", OBJECT, estimate_fields},  {"p99", OBJECT, estimate_fields},
	{"p999", OBJECT, estimate_fields}, {NULL, 0, NULL},
};

const struct field session_latency_fields[] = {
	{"count", COUNT, NULL},
	{"min_ns", COUNT, NULL},
	{"mean_ns", NUMBER, NULL},
	{"max_ns", COUNT, NULL},
	{"quantiles", OBJECT, quantile_fields},
	{"buckets", BUCKETS, NULL},
	{NULL, 0, NULL},
};

static const struct field latencies_fields[] = {
	{"client", OBJECT, session_latency_fields},
	{"intended", OBJECT, session_latency_fields},
	{"kernel", OBJECT, session_latency_fields},
	{NULL, 0, NULL},
};

static const struct field events_fields[] = {
	{"published", COUNT, NULL},
	{"acked", COUNT, NULL},
	{"received", COUNT, NULL},
	{"missing", COUNT, NULL},
	{"duplicates", COUNT, NULL},
	{"missing_ids", IDS, NULL},
	{NULL, 0, NULL},
};

static const struct field service_fields[] = {
	{"name", TEXT, NULL},	     {"cgroup", TEXT, NULL},	  {"current_bytes", COUNT, NULL},
	{"anon_bytes", COUNT, NULL}, {"file_bytes", COUNT, NULL}, {NULL, 0, NULL},
};

static const struct field memory_fields[] = {
	{"baseline_bytes", NUMBER, NULL},
	{"total_bytes", NUMBER, NULL},
	{"services", LIST, service_fields},
	{"per_service_bytes", OBJECT, estimate_fields},
	{NULL, 0, NULL},
};

static const struct field growth_fields[] = {
	{"name", TEXT, NULL},
	{"cgroup", TEXT, NULL},
	{"verdict", TEXT, NULL},
	{"bytes_per_hour", OBJECT, estimate_fields},
	{"min_detectable_bytes_per_hour", NUMBER, NULL},
	{"reason", TEXT, NULL},
	{"readings", POINTS, NULL},
	{"stretch", COUNT, NULL},
	{"stretches", COUNT, NULL},
	{NULL, 0, NULL},
};

/* Of a gateway run. */

static const struct field use_fields[] = {
	{"name", TEXT, NULL},
	{"cpu_percent", NUMBER, NULL},
	{"cpu_percent_max", NUMBER, NULL},
	{"working_set_bytes", NUMBER, NULL},
	{"current_bytes", NUMBER, NULL},
	{"limit_bytes", NUMBER, NULL},
	{"share_of_limit", NUMBER, NULL},
	{NULL, 0, NULL},
};

static const struct field machine_fields[] = {
	{"busy_percent", NUMBER, NULL},
	{"stolen_percent", NUMBER, NULL},
	{"idle_percent", NUMBER, NULL},
	{NULL, 0, NULL},
};

static const struct field timeline_fields[] = {
	{"width_s", NUMBER, NULL}, {"buckets", ROWS, NULL}, {NULL, 0, NULL}};

static const struct field baseline_fields[] = {
	{"buckets", COUNT, NULL}, {"due", COUNT, NULL},
	{"failed", COUNT, NULL},  {"lowest_share", NUMBER, NULL},
	{"p50_ns", NUMBER, NULL}, {"normal_p50_ns", NUMBER, NULL},
	{NULL, 0, NULL},
};

static const struct field fault_fields[] = {
	{"kind", TEXT, NULL},
	{"container", TEXT, NULL},
	{"done_s", NUMBER, NULL},
	{"took_s", NUMBER, NULL},
	{"undone_s", NUMBER, NULL},
	{"healthy_s", NUMBER, NULL},
	{"connections_reset", COUNT, NULL},
	{"first_failure", TEXT, NULL},
	{"first_failure_known_s", NUMBER, NULL},
	{"codes", COUNTS, NULL},
	{"errors", COUNTS, NULL},
	{"resolution_s", NUMBER, NULL},
	{"affected", BOOL, NULL},
	{"failed", COUNT, NULL},
	{"first_failure_s", NUMBER, NULL},
	{"last_failure_s", NUMBER, NULL},
	{"downtime_s", NUMBER, NULL},
	{"recovered", BOOL, NULL},
	{"recovery_s", OBJECT, estimate_fields},
	{"from_fault_s", NUMBER, NULL},
	{"breaker_opened", COUNT, NULL},
	{"breaker_refused", COUNT, NULL},
	{"baseline", OBJECT, baseline_fields},
	{NULL, 0, NULL},
};

static const struct field state_fields[] = {
	{"healthy", BOOL, NULL}, {"took_ns", COUNT, NULL}, {"why", TEXT, NULL}, {NULL, 0, NULL}};

static const struct field health_fields[] = {
	{"name", TEXT, NULL},	 {"begin", OBJECT, state_fields}, {"end", OBJECT, state_fields},
	{"starts", COUNT, NULL}, {"deaths", COUNT, NULL},	  {NULL, 0, NULL},
};

static const struct field masking_fields[] = {
	{"answers_checked", COUNT, NULL}, {"bad_bodies", COUNT, NULL},
	{"api_requests", COUNT, NULL},	  {"api_with_identifiers", COUNT, NULL},
	{"api_refused", COUNT, NULL},	  {"api_connections", COUNT, NULL},
	{"api_wanted_s", NUMBER, NULL},	  {"api_waited_s", NUMBER, NULL},
	{"api_answered", COUNT, NULL},	  {"masked", COUNT, NULL},
	{"unmasked", COUNT, NULL},	  {"gateway_starts", COUNT, NULL},
	{"api_starts", COUNT, NULL},	  {NULL, 0, NULL},
};

static const struct field availability_fields[] = {
	{"due", COUNT, NULL},	   {"succeeded", COUNT, NULL},
	{"seconds", NUMBER, NULL}, {"percent", OBJECT, estimate_fields},
	{NULL, 0, NULL},
};

static const struct field container_fields[] = {
	{"id", COUNT, NULL},	 {"name", TEXT, NULL},	     {"current", COUNT, NULL},
	{"anon", COUNT, NULL},	 {"file", COUNT, NULL},	     {"working_set", COUNT, NULL},
	{"kernel", COUNT, NULL}, {"swap", COUNT, NULL},	     {"peak", COUNT, NULL},
	{"limit", COUNT, NULL},	 {"oom_kills", COUNT, NULL}, {"worst_limit_share", NUMBER, NULL},
	{NULL, 0, NULL},
};

static const struct field path_part_fields[] = {
	{"name", TEXT, NULL},	   {"kind", TEXT, NULL},      {"proto", TEXT, NULL},
	{"container", TEXT, NULL}, {"mean_ns", NUMBER, NULL}, {"p50_ns", NUMBER, NULL},
	{"p99_ns", NUMBER, NULL},  {"share", NUMBER, NULL},   {"depth", COUNT, NULL},
	{"calls", NUMBER, NULL},   {NULL, 0, NULL},
};

static const struct field critical_path_fields[] = {
	{"route", TEXT, NULL},
	{"container", TEXT, NULL},
	{"proto", TEXT, NULL},
	{"count", COUNT, NULL},
	{"mean_ns", NUMBER, NULL},
	{"p50_ns", NUMBER, NULL},
	{"p99_ns", NUMBER, NULL},
	{"linked", COUNT, NULL},
	{"unlinked", COUNT, NULL},
	{"client", TEXT, NULL},
	{"failed", COUNT, NULL},
	{"calls", LIST, path_part_fields},
	{"shared", BOOL, NULL},
	{"crossed", BOOL, NULL},
	{"parts", LIST, path_part_fields},
	{"residual_ns", NUMBER, NULL},
	{"residual_share", NUMBER, NULL},
	{NULL, 0, NULL},
};

static const struct field edge_fields[] = {
	{"kind", TEXT, NULL},	{"parent", TEXT, NULL},	  {"container", TEXT, NULL},
	{"proto", TEXT, NULL},	{"route", TEXT, NULL},	  {"port", COUNT, NULL},
	{"callee", TEXT, NULL}, {"calls", COUNT, NULL},	  {"answered", COUNT, NULL},
	{"late", COUNT, NULL},	{"sum_ns", NUMBER, NULL}, {NULL, 0, NULL},
};

static const struct field calls_fields[] = {
	{"linked", COUNT, NULL},      {"unlinked", COUNT, NULL}, {"reasons", COUNTS, NULL},
	{"edges", LIST, edge_fields}, {NULL, 0, NULL},
};

static const struct field tls_fields[] = {
	{"connections", COUNT, NULL},	   {"calls", COUNT, NULL},
	{"sockets_guessed", COUNT, NULL},  {"sockets_unknown", COUNT, NULL},
	{"connections_lost", COUNT, NULL}, {"ends_lost", COUNT, NULL},
	{"calls_lost", COUNT, NULL},	   {"sockets_lost", COUNT, NULL},
	{"execs_lost", COUNT, NULL},	   {NULL, 0, NULL},
};

static const struct field opaque_fields[] = {
	{"proto", TEXT, NULL},	{"role", TEXT, NULL},	   {"container", TEXT, NULL},
	{"comm", TEXT, NULL},	{"port", COUNT, NULL},	   {"connections", COUNT, NULL},
	{"bytes", COUNT, NULL}, {"srtt_us", NUMBER, NULL}, {"srtt_max_us", COUNT, NULL},
	{NULL, 0, NULL},
};

/* Of a port-forward run. */

static const struct field added_fields[] = {
	{"mean_ns", OBJECT, estimate_fields},	 {"p50_ns", OBJECT, estimate_fields},
	{"p99_ns", OBJECT, estimate_fields},	 {"rate_percent", OBJECT, estimate_fields},
	{"machine_ns", OBJECT, estimate_fields}, {NULL, 0, NULL},
};

static const struct field cpu_fields[] = {
	{"program", TEXT, NULL}, {"ns_per_request", OBJECT, estimate_fields}, {NULL, 0, NULL}};

static const struct field srtt_fields[] = {
	{"from", TEXT, NULL},
	{"to", TEXT, NULL},
	{"front_ns", OBJECT, estimate_fields},
	{"back_ns", OBJECT, estimate_fields},
	{NULL, 0, NULL},
};

static const struct field place_fields[] = {
	{"name", TEXT, NULL},	   {"relay", BOOL, NULL},      {"there_ns", NUMBER, NULL},
	{"back_ns", NUMBER, NULL}, {"queue_ns", NUMBER, NULL}, {"run_queue_ns", NUMBER, NULL},
	{NULL, 0, NULL},
};

static const struct field residence_fields[] = {
	{"exchanges", COUNT, NULL},	{"mean_ns", NUMBER, NULL},
	{"network_ns", NUMBER, NULL},	{"opaque_ns", NUMBER, NULL},
	{"beyond_ns", NUMBER, NULL},	{"client_p50_ns", NUMBER, NULL},
	{"places", LIST, place_fields}, {NULL, 0, NULL},
};

static const struct field compared_fields[] = {
	{"from", COUNT, NULL},
	{"to", COUNT, NULL},
	{"concurrency", COUNT, NULL},
	{"added_from_ns", OBJECT, estimate_fields},
	{"added_to_ns", OBJECT, estimate_fields},
	{"growth_ns", OBJECT, estimate_fields},
	{"growth_p99_ns", OBJECT, estimate_fields},
	{NULL, 0, NULL},
};

static const struct field analysis_fields[] = {
	{"way", TEXT, NULL},
	{"workload", TEXT, NULL},
	{"payload", OBJECT, compared_fields},
	{"concurrency", OBJECT, compared_fields},
	{"tunnels", OBJECT, compared_fields},
	{"neighbour", OBJECT, compared_fields},
	{NULL, 0, NULL},
};

static const struct field sweeps_fields[] = {
	{"payload", IDS, NULL},
	{"concurrency", IDS, NULL},
	{"pool", IDS, NULL},
	{"pool_concurrency", COUNT, NULL},
	{"tunnels", COUNT, NULL},
	{"bulk", COUNT, NULL},
	{"bulk_concurrency", COUNT, NULL},
	{NULL, 0, NULL},
};

static const struct field relay_fields[] = {
	{"name", TEXT, NULL}, {"program", TEXT, NULL}, {"place", TEXT, NULL}, {NULL, 0, NULL}};

static const struct field leg_end_fields[] = {
	{"connections", COUNT, NULL},
	{"segments", COUNT, NULL},
	{"retransmits", COUNT, NULL},
	{"srtt_min_ns", COUNT, NULL},
	{"srtt_mean_ns", COUNT, NULL},
	{"srtt_max_ns", COUNT, NULL},
	{NULL, 0, NULL},
};

static const struct field leg_fields[] = {
	{"from", TEXT, NULL},
	{"to", TEXT, NULL},
	{"front", OBJECT, leg_end_fields},
	{"back", OBJECT, leg_end_fields},
	{NULL, 0, NULL},
};

static const struct field way_fields[] = {
	{"name", TEXT, NULL},	    {"available", BOOL, NULL}, {"why", TEXT, NULL},
	{"version", TEXT, NULL},    {"command", TEXT, NULL},   {"relays", LIST, relay_fields},
	{"legs", LIST, leg_fields}, {NULL, 0, NULL},
};

static const struct field tcp_fields[] = {
	{"place", TEXT, NULL},
	{"in_segments", COUNT, NULL},
	{"out_segments", COUNT, NULL},
	{"retransmits", COUNT, NULL},
	{NULL, 0, NULL},
};

const struct field session_phase_fields[] = {
	{"name", TEXT, NULL},
	{"kind", TEXT, NULL},
	{"path", TEXT, NULL},
	{"mode", TEXT, NULL},
	{"rounds", COUNT, NULL},
	{"attempted", COUNT, NULL},
	{"succeeded", COUNT, NULL},
	{"failed", COUNT, NULL},
	{"errors", COUNTS, NULL},
	{"duration_s", NUMBER, NULL},
	{"rate_per_s", OBJECT, estimate_fields},
	{"target_rate_per_s", NUMBER, NULL},
	{"behind_schedule", COUNT, NULL},
	{"latency", OBJECT, latencies_fields},
	{"events", OBJECT, events_fields},
	{"memory", OBJECT, memory_fields},
	{"growth", LIST, growth_fields},
	{"at_s", NUMBER, NULL},
	{"scheduled", COUNT, NULL},
	{"status", COUNTS, NULL},
	{"codes", COUNTS, NULL},
	{"success_percent", OBJECT, estimate_fields},
	{"connections_opened", COUNT, NULL},
	{"invalid", TEXT, NULL},
	{"mean_ns", OBJECT, estimate_fields},
	{"offered_rate_per_s", NUMBER, NULL},
	{"sent_per_s", OBJECT, estimate_fields},
	{"waited", COUNT, NULL},
	{"unsent", COUNT, NULL},
	{"late_ns_max", COUNT, NULL},
	{"peak_in_flight", COUNT, NULL},
	{"kernel_answers", COUNT, NULL},
	{"interval_s", NUMBER, NULL},
	{"resources", LIST, use_fields},
	{"machine", OBJECT, machine_fields},
	{"timeline", OBJECT, timeline_fields},
	{"fault", OBJECT, fault_fields},
	{"critical_paths", LIST, critical_path_fields},
	{"calls", OBJECT, calls_fields},
	{"api_answered", COUNT, NULL},
	{"api_mean_ns", NUMBER, NULL},
	{"tls", OBJECT, tls_fields},
	{"way", TEXT, NULL},
	{"workload", TEXT, NULL},
	{"base", BOOL, NULL},
	{"payload_bytes", COUNT, NULL},
	{"concurrency", COUNT, NULL},
	{"pool", COUNT, NULL},
	{"tunnels", COUNT, NULL},
	{"beside", TEXT, NULL},
	{"added", OBJECT, added_fields},
	{"cpu", LIST, cpu_fields},
	{"relays_ns_per_request", OBJECT, estimate_fields},
	{"machine_ns_per_request", OBJECT, estimate_fields},
	{"srtt", LIST, srtt_fields},
	{"segments", COUNT, NULL},
	{"retransmits", COUNT, NULL},
	{"residence", OBJECT, residence_fields},
	{"hop_accounting", COUNTS, NULL},
	{NULL, 0, NULL},
};

static const struct field topology_fields[] = {
	{"name", TEXT, NULL},	 {"kind", TEXT, NULL},	 {"pid", COUNT, NULL},
	{"address", TEXT, NULL}, {"cgroup", TEXT, NULL}, {NULL, 0, NULL},
};

static const struct field environment_fields[] = {
	{"kernel", TEXT, NULL},
	{"arch", TEXT, NULL},
	{"cpu_model", TEXT, NULL},
	{"cpus", COUNT, NULL},
	{"memory_bytes", COUNT, NULL},
	{"lockdown", TEXT, NULL},
	{"cgroup", TEXT, NULL},
	{"libbpf", TEXT, NULL},
	{"natsc", TEXT, NULL},
	{"nats_server", TEXT, NULL},
	{"forwarder", TEXT, NULL},
	{"nginx", TEXT, NULL},
	{"lua_module", TEXT, NULL},
	{"redis", TEXT, NULL},
	{"openssl", TEXT, NULL},
	{"topology", LIST, topology_fields},
	{NULL, 0, NULL},
};

static const struct field difference_fields[] = {
	{"name", TEXT, NULL},	   {"unit", TEXT, NULL}, {"estimate", OBJECT, estimate_fields},
	{"base_ns", NUMBER, NULL}, {NULL, 0, NULL},
};

static const struct field series_fields[] = {
	{"proto", TEXT, NULL},	    {"role", TEXT, NULL},      {"route", TEXT, NULL},
	{"container", TEXT, NULL},  {"status", TEXT, NULL},    {"count", COUNT, NULL},
	{"errors", COUNT, NULL},    {"bytes", COUNT, NULL},    {"min_ns", NUMBER, NULL},
	{"mean_ns", NUMBER, NULL},  {"p50_ns", NUMBER, NULL},  {"p90_ns", NUMBER, NULL},
	{"p99_ns", NUMBER, NULL},   {"p999_ns", NUMBER, NULL}, {"max_ns", NUMBER, NULL},
	{"buckets", BUCKETS, NULL}, {"part", TEXT, NULL},      {NULL, 0, NULL},
};

static const struct field accounting_fields[] = {
	{"connections_by", COUNTS, NULL},
	{"bytes_opaque", COUNT, NULL},
	{"seen", COUNT, NULL},
	{"in_flight_before", NUMBER, NULL},
	{"matched", COUNT, NULL},
	{"one_way", COUNT, NULL},
	{"in_flight", NUMBER, NULL},
	{"unanswered", COUNT, NULL},
	{"dropped", COUNT, NULL},
	{"orphans", COUNT, NULL},
	{"bytes_seen", COUNT, NULL},
	{"bytes_framed", COUNT, NULL},
	{"bytes_unparsed", COUNT, NULL},
	{"exemplars_lost", COUNT, NULL},
	{"packets", COUNT, NULL},
	{"messages", COUNT, NULL},
	{"connections", COUNT, NULL},
	{"settled", BOOL, NULL},
	{"holds", BOOL, NULL},
	{"reasons", COUNTS, NULL},
	{NULL, 0, NULL},
};

static const struct field program_fields[] = {
	{"name", TEXT, NULL},	 {"runs", COUNT, NULL}, {"ns", COUNT, NULL},
	{"missed", COUNT, NULL}, {NULL, 0, NULL},
};

static const struct field overhead_fields[] = {
	{"programs", LIST, program_fields},
	{"ns_per_exchange", NUMBER, NULL},
	{"user_cpu_s", NUMBER, NULL},
	{"rss_bytes", COUNT, NULL},
	{NULL, 0, NULL},
};

static const struct field target_fields[] = {
	{"name", TEXT, NULL},	   {"value", NUMBER, NULL},    {"ci_low", NUMBER, NULL},
	{"ci_high", NUMBER, NULL}, {"limit", NUMBER, NULL},    {"op", OP, NULL},
	{"unit", TEXT, NULL},	   {"verdict", VERDICT, NULL}, {"reason", TEXT, NULL},
	{NULL, 0, NULL},
};

static const struct field tool_fields[] = {
	{"name", TEXT, NULL}, {"version", TEXT, NULL}, {NULL, 0, NULL}};

static const struct field scenario_fields[] = {
	{"name", TEXT, NULL}, {"file", TEXT, NULL}, {"title", TEXT, NULL}, {NULL, 0, NULL}};

const struct field session_fields[] = {
	{"schema", COUNT, NULL},
	{"kind", TEXT, NULL},
	{"tool", OBJECT, tool_fields},
	{"scenario", OBJECT, scenario_fields},
	{"started", TEXT, NULL},
	{"duration_s", NUMBER, NULL},
	{"complete", BOOL, NULL},
	{"incomplete_reason", TEXT, NULL},
	{"environment", OBJECT, environment_fields},
	{"configuration", PAIRS, NULL},
	{"phases", LIST, session_phase_fields},
	{"differences", LIST, difference_fields},
	{"series", LIST, series_fields},
	{"accounting", OBJECT, accounting_fields},
	{"opaque", LIST, opaque_fields},
	{"tls", OBJECT, tls_fields},
	{"overhead", OBJECT, overhead_fields},
	{"targets", LIST, target_fields},
	{"health", LIST, health_fields},
	{"masking", OBJECT, masking_fields},
	{"availability", OBJECT, availability_fields},
	{"containers", LIST, container_fields},
	{"error_bound_percent", NUMBER, NULL},
	{"rounds", COUNT, NULL},
	{"slice_s", NUMBER, NULL},
	{"hop_rounds", COUNT, NULL},
	{"sweeps", OBJECT, sweeps_fields},
	{"ways", LIST, way_fields},
	{"analysis", LIST, analysis_fields},
	{"tcp", LIST, tcp_fields},
	{NULL, 0, NULL},
};
