/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The role "http": HTTP/1.1 calls over kept connections, in a closed or an open loop. */
#include "load/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

#include "stack/clock.h"

#define HTTP_TIMEOUT_MS 5000

/* ---- configuration */

/* A host that needs no looking up, as that would be in the latency and on the wire. */
static bool host__numeric(const char *host)
{
	unsigned char addr[sizeof(struct in6_addr)];
	char bare[INET6_ADDRSTRLEN + 1];
	size_t n = strlen(host);

	if (host[0] != '[')
		return inet_pton(AF_INET, host, addr) == 1;
	if (n < 3 || n - 2 >= sizeof(bare))
		return false;
	memcpy(bare, host + 1, n - 2);
	bare[n - 2] = '\0';
	return inet_pton(AF_INET6, bare, addr) == 1;
}

static int http__check_url(const char *url, struct fault *f)
{
	char *scheme = NULL, *host = NULL;
	CURLU *u = curl_url();
	int err = 0;

	if (!u)
		return fault__set(f, -ENOMEM, "cannot read the configuration", "out of memory");
	if (curl_url_set(u, CURLUPART_URL, url, 0) ||
	    curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) ||
	    curl_url_get(u, CURLUPART_HOST, &host, 0) ||
	    (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0))
		err = fault__set(f, -EINVAL, "cannot read the configuration",
				 "\"url\" is not a http:// or https:// URL");
	else if (!host__numeric(host))
		err = fault__set(f, -EINVAL, "cannot read the configuration",
				 "the host of \"url\" must be an address: looking up '%s' would be "
				 "part of the latency",
				 host);
	curl_free(scheme);
	curl_free(host);
	curl_url_cleanup(u);
	return err;
}

static int http__configure(struct http *http, const json_t *config)
{
	struct fault *f = &http->w->fault;
	const char *url, *ca;
	long long n;

	if (args__string(config, "url", NULL, &url, f) ||
	    args__string(config, "ca", NULL, &ca, f) ||
	    args__count(config, "connections", 16, 1, HTTP_CONNECTIONS_MAX, &n, f))
		return f->err;
	if (!url)
		return fault__set(f, -EINVAL, "cannot read the configuration",
				  "there is no \"url\"");
	if (http__check_url(url, f))
		return f->err;
	if (ca && access(ca, R_OK))
		return fault__set(f, -errno, "cannot read the configuration", "\"ca\": %s: %s", ca,
				  strerror(errno));
	/* The configuration does not outlive the start. */
	http->url = strdup(url);
	http->ca = ca ? strdup(ca) : NULL;
	http->n = (size_t)n;
	http->slots = calloc(http->n, sizeof(*http->slots));
	http->free = calloc(http->n, sizeof(struct http_slot *));
	if (!http->url || (ca && !http->ca) || !http->slots || !http->free)
		return fault__set(f, -ENOMEM, "cannot start the client", "out of memory");
	return 0;
}

static int http__headers(struct http *http)
{
	/* Without "Expect:" libcurl asks before it sends a large body, which doubles the trips. */
	static const char *const lines[] = {"Content-Type: application/json", "Expect:"};
	struct curl_slist *list;
	size_t i;

	for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		list = curl_slist_append(http->headers, lines[i]);
		if (!list)
			return -ENOMEM;
		http->headers = list;
	}
	return 0;
}

/* A descriptor for each connection, and those that the worker has anyway. */
static int http__allow_files(const struct http *http)
{
	struct rlimit r;
	rlim_t want = http->n + 64;

	if (getrlimit(RLIMIT_NOFILE, &r))
		return -errno;
	if (r.rlim_cur < want) {
		r.rlim_cur = want < r.rlim_max ? want : r.rlim_max;
		if (r.rlim_cur < want || setrlimit(RLIMIT_NOFILE, &r))
			return -EMFILE;
	}
	return 0;
}

static int http__start(struct worker *w, const json_t *config)
{
	struct http *http = calloc(1, sizeof(*http));
	struct fault *f = &w->fault;
	size_t i;

	if (!http)
		return fault__set(f, -ENOMEM, "cannot start the client", "out of memory");
	w->state = http;
	http->w = w;
	http->epoll = http->timer = -1;
	if (curl_global_init(CURL_GLOBAL_DEFAULT))
		return fault__set(f, -EIO, "cannot start the client", "libcurl does not start");
	if (http__configure(http, config))
		return f->err;
	for (i = http->n; i > 0; i--) {
		http->slots[i - 1].http = http;
		http->free[http->n_free++] = &http->slots[i - 1];
	}
	if (http__allow_files(http))
		return fault__set(f, -EMFILE, "cannot start the client",
				  "%zu connections are more than the limit of open files allows: "
				  "raise it (ulimit -n)",
				  http->n);
	if (http__headers(http))
		return fault__set(f, -ENOMEM, "cannot start the client", "out of memory");
	if (getrandom(http->traces, sizeof(http->traces), 0) != sizeof(http->traces))
		return fault__set(f, -EIO, "cannot start the client", "no random numbers");
	return http_loop__init(http);
}

/* ---- run */

static bool method__known(const char *method)
{
	static const char *const known[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"};
	size_t i;

	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (!strcmp(known[i], method))
			return true;
	}
	return false;
}

static int run__content(struct http_run *run, const json_t *args, struct fault *f)
{
	const char *content;
	long long payload, seed;

	if (args__string(args, "content", "none", &content, f) ||
	    args__string(args, "method", strcmp(content, "none") ? "POST" : "GET", &run->method,
			 f) ||
	    args__count(args, "payload", 0, 0, HTTP_PAYLOAD_MAX, &payload, f) ||
	    args__count(args, "seed", 0, 0, INT64_MAX, &seed, f) ||
	    args__flag(args, "traceparent", false, &run->traceparent, f))
		return f->err;
	run->masker = !strcmp(content, "masker");
	run->payload = (size_t)payload;
	run->seed = (uint64_t)seed;
	if (!run->masker && strcmp(content, "none") != 0)
		return fault__set(f, -EINVAL, "cannot run",
				  "\"content\" is \"masker\" or \"none\"");
	if (!method__known(run->method))
		return fault__set(f, -EINVAL, "cannot run",
				  "\"method\" is GET, HEAD, POST, PUT, PATCH or DELETE");
	if ((run->masker || run->payload) && !http_slot__has_body(run->method))
		return fault__set(f, -EINVAL, "cannot run", "a %s has no body", run->method);
	return 0;
}

struct run_options {
	bool open;
	bool record;
	uint64_t bucket_ns;
};

static int run__init(struct http_run *run, const json_t *args, struct run_options *o)
{
	struct http *http = run->http;
	struct fault *f = &http->w->fault;
	long long calls, concurrency, timeout_ms, bucket_ms;
	const char *mode;
	double limit_s;

	if (args__string(args, "mode", "closed", &mode, f) ||
	    args__count(args, "calls", 200, 1, HTTP_CALLS_MAX, &calls, f) ||
	    args__count(args, "concurrency", 1, 1, (long long)http->n, &concurrency, f) ||
	    args__real(args, "rate", 0, 0.001, 1e6, &run->schedule.rate, f) ||
	    args__count(args, "timeout_ms", HTTP_TIMEOUT_MS, 1, 3600000, &timeout_ms, f) ||
	    args__count(args, "bucket_ms", 0, 0, 3600000, &bucket_ms, f) ||
	    args__real(args, "limit_s", 0, 0, 86400, &limit_s, f) ||
	    args__flag(args, "record", false, &o->record, f) || run__content(run, args, f))
		return f->err;
	o->open = !strcmp(mode, "open");
	o->bucket_ns = (uint64_t)bucket_ms * NS_PER_MS;
	if (!o->open && strcmp(mode, "closed") != 0)
		return fault__set(f, -EINVAL, "cannot run", "\"mode\" is \"closed\" or \"open\"");
	if (o->open && run->schedule.rate <= 0)
		return fault__set(f, -EINVAL, "cannot run", "an open loop needs a \"rate\"");
	if (http_calls__init(&run->calls, (size_t)calls, o->open))
		return fault__set(f, -ENOMEM, "cannot run", "no memory for %lld calls", calls);
	run->concurrency = o->open ? http->n : (size_t)concurrency;
	run->timeout_ns = (uint64_t)timeout_ms * NS_PER_MS;
	if (limit_s > 0)
		run->limit_ns = clock__now() + (uint64_t)(limit_s * 1e9);
	run->base = http->seq;
	http->seq += run->calls.n;
	http->runs++;
	return 0;
}

static double cpu__now(void)
{
	struct rusage r;

	getrusage(RUSAGE_SELF, &r);
	return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
	       (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
}

static json_t *run__done(const struct http_run *run, const struct run_options *opt, uint64_t opened,
			 double cpu_s)
{
	struct http *http = run->http;
	json_t *o = http_calls__to_json(&run->calls, run->start_ns, opt->bucket_ns, opt->record);
	json_t *extra;

	extra = json_pack("{s:s,s:s,s:f,s:I,s:I,s:I,s:I,s:I,s:I,s:f,s:b}", "event", "done", "mode",
			  opt->open ? "open" : "closed", "duration_s",
			  (double)(run->end_ns - run->start_ns) / 1e9, "start_ns",
			  (json_int_t)run->start_ns, "end_ns", (json_int_t)run->end_ns, "waited",
			  (json_int_t)run->waited, "unsent", (json_int_t)run->unsent,
			  "connections_opened", (json_int_t)(http->opened - opened),
			  "peak_in_flight", (json_int_t)run->peak, "cpu_s", cpu_s, "aborted",
			  run->next < run->calls.n || atomic_load(&http->w->stop));
	if (!o || !extra || json_object_update(o, extra)) {
		json_decref(o);
		o = NULL;
	}
	json_decref(extra);
	if (o) {
		http->total[0] += (uint64_t)json_integer_value(json_object_get(o, "attempted"));
		http->total[1] += (uint64_t)json_integer_value(json_object_get(o, "succeeded"));
		http->total[2] += (uint64_t)json_integer_value(json_object_get(o, "failed"));
	}
	return o;
}

static json_t *http__run(struct http *http, const json_t *args)
{
	struct http_run run = {.http = http};
	struct run_options opt = {0};
	uint64_t opened = http->opened;
	json_t *answer = NULL;
	double cpu_s;
	int err;

	if (run__init(&run, args, &opt) == 0) {
		cpu_s = cpu__now();
		http->run = &run;
		err = http_loop__run(http);
		http->run = NULL;
		if (err)
			fault__set(&http->w->fault, err, "cannot run", "%s", strerror(-err));
		else
			answer = run__done(&run, &opt, opened, cpu__now() - cpu_s);
	}
	http_calls__free(&run.calls);
	return answer;
}

/* They are libcurl's, in the handle that the loop is made of. */
static json_t *http__close(struct http *http)
{
	http_loop__free(http);
	http->multi = NULL;
	http->epoll = http->timer = -1;
	http->timer_ns = http->curl_ns = 0;
	if (http_loop__init(http))
		return NULL;
	return json_pack("{s:s}", "event", "done");
}

static json_t *http__command(struct worker *w, const char *cmd, const json_t *args)
{
	if (strcmp(cmd, "run") == 0)
		return http__run(w->state, args);
	if (strcmp(cmd, "close") == 0)
		return http__close(w->state);
	w->fault.err = -ENOSYS;
	return NULL;
}

static void http__stats(struct worker *w, json_t *out)
{
	const struct http *http = w->state;

	json_object_set_new(out, "attempted", json_integer((json_int_t)http->total[0]));
	json_object_set_new(out, "succeeded", json_integer((json_int_t)http->total[1]));
	json_object_set_new(out, "failed", json_integer((json_int_t)http->total[2]));
	json_object_set_new(out, "connections_opened", json_integer((json_int_t)http->opened));
}

static void http__free(struct worker *w)
{
	struct http *http = w->state;
	size_t i;

	if (!http)
		return;
	for (i = 0; http->slots && i < http->n; i++)
		http_slot__free(&http->slots[i]);
	http_loop__free(http);
	curl_slist_free_all(http->headers);
	curl_global_cleanup();
	free(http->slots);
	free(http->free);
	free((char *)http->url);
	free((char *)http->ca);
	free(http);
	w->state = NULL;
}

const struct load_role load_role_http = {
	.name = "http",
	.no_pool = true,
	.start = http__start,
	.command = http__command,
	.stats = http__stats,
	.free = http__free,
};
