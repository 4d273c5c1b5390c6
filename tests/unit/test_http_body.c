/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <regex.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "load/http_body.h"

#define OCTET "(0|[1-9][0-9]?|1[0-9][0-9]|2[0-4][0-9]|25[0-5])"

static const char *const forms[AWS_KIND_MAX][AWS_PER_KIND] = {
	[AWS_EC2] = {"^i-[0-9a-f]{17}$", "^i-[0-9a-f]{8}$"},
	[AWS_VPC] = {"^vpc-[0-9a-f]{17}$", "^vpc-[0-9a-f]{8}$"},
	[AWS_SUBNET] = {"^subnet-[0-9a-f]{17}$", "^subnet-[0-9a-f]{8}$"},
	[AWS_SG] = {"^sg-[0-9a-f]{17}$", "^sg-[0-9a-f]{8}$"},
	[AWS_ARN] = {"^arn:aws:(iam|lambda|s3):[a-z0-9-]*:([0-9]{12})?:[a-z]", "^arn:aws:"},
	[AWS_ACCOUNT] = {"^[0-9]{12}$", "^[0-9]{12}$"},
	[AWS_ACCESS] = {"^AKIA[A-Z0-9]{16}$", "^ASIA[A-Z0-9]{16}$"},
	[AWS_PUBLIC] = {"^" OCTET "\\." OCTET "\\." OCTET "\\." OCTET "$",
			"^" OCTET "\\." OCTET "\\." OCTET "\\." OCTET "$"},
};

static bool is_public(const char *ip)
{
	unsigned int a, b, c, d;

	assert_int_equal(sscanf(ip, "%u.%u.%u.%u", &a, &b, &c, &d), 4);
	return !(a == 0 || a == 10 || a == 127 || a >= 224 || (a == 100 && b >= 64 && b < 128) ||
		 (a == 169 && b == 254) || (a == 172 && b >= 16 && b < 32) ||
		 (a == 192 && b == 168) || (a == 192 && b == 0 && (c == 0 || c == 2)) ||
		 (a == 192 && b == 88 && c == 99) || (a == 198 && (b == 18 || b == 19)) ||
		 (a == 198 && b == 51 && c == 100) || (a == 203 && b == 0 && c == 113));
}

static void identifiers_are_valid(void **state)
{
	struct aws_ids ids = {0};
	regex_t form;
	int kind, nth;

	(void)state;
	for (kind = 0; kind < AWS_KIND_MAX; kind++) {
		for (nth = 0; nth < AWS_PER_KIND; nth++) {
			assert_int_equal(regcomp(&form, forms[kind][nth], REG_EXTENDED | REG_NOSUB),
					 0);
			for (uint64_t call = 0; call < 3000; call++) {
				const char *id = ids.id[kind][nth];

				aws_ids__make(&ids, 42, call);
				if (regexec(&form, id, 0, NULL, 0))
					fail_msg("%s is not %s", id, forms[kind][nth]);
				if (kind == AWS_PUBLIC && !is_public(id))
					fail_msg("%s is not public", id);
			}
			regfree(&form);
		}
	}
}

static int compare(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* The same again for the same seed and call; else the one of the call only its own. */
static void identifiers_follow_from_the_call(void **state)
{
	enum { CALLS = 5000 };
	char(*own)[AWS_ID_MAX] = calloc(CALLS, AWS_ID_MAX);
	struct aws_ids a, b;

	(void)state;
	assert_non_null(own);
	for (uint64_t call = 0; call < CALLS; call++) {
		aws_ids__make(&a, 1, call);
		aws_ids__make(&b, 1, call);
		for (int kind = 0; kind < AWS_KIND_MAX; kind++) {
			assert_string_equal(a.id[kind][0], b.id[kind][0]);
			assert_string_equal(a.id[kind][1], b.id[kind][1]);
		}
		memcpy(own[call], a.id[AWS_EC2][0], AWS_ID_MAX);
		aws_ids__make(&b, 1, call + AWS_SHARED);
		assert_string_equal(a.id[AWS_SG][1], b.id[AWS_SG][1]);
		assert_string_not_equal(a.id[AWS_SG][0], b.id[AWS_SG][0]);
		aws_ids__make(&b, 2, call);
		assert_string_not_equal(a.id[AWS_SG][0], b.id[AWS_SG][0]);
		assert_string_not_equal(a.id[AWS_SG][1], b.id[AWS_SG][1]);
	}
	qsort(own, CALLS, AWS_ID_MAX, compare);
	for (int i = 1; i < CALLS; i++)
		assert_string_not_equal(own[i - 1], own[i]);
	free(own);
}

static const char *content_of(const json_t *o)
{
	const json_t *message = json_array_get(json_object_get(o, "messages"), 0);

	return json_string_value(json_object_get(message, "content"));
}

static void body_is_a_request(void **state)
{
	static const size_t payloads[] = {0, 1, 500, 100000};
	struct buffer b = {0};
	struct aws_ids ids;
	size_t plain = 0, i;
	char *copy;

	(void)state;
	for (i = 0; i < sizeof(payloads) / sizeof(payloads[0]); i++) {
		json_t *o;

		aws_ids__make(&ids, 3, 5);
		assert_int_equal(http_body__messages(&b, &ids, payloads[i]), 0);
		plain = i ? plain : b.n;
		assert_int_equal(b.n, plain + payloads[i]);
		o = json_loadb(b.p, b.n, JSON_REJECT_DUPLICATES, NULL);
		assert_non_null(o);
		assert_true(json_is_integer(json_object_get(o, "max_tokens")));
		/* The text itself is a good answer; some of it comes twice. */
		copy = strdup(content_of(o));
		assert_int_equal(http_body__check(&ids, copy, strlen(copy)), BODY_GOOD);
		assert_non_null(strstr(strstr(copy, ids.id[AWS_VPC][0]) + 1, ids.id[AWS_VPC][0]));
		free(copy);
		json_decref(o);
	}
	assert_int_equal(http_body__plain(&b, 100), 0);
	assert_int_equal(b.n, 100);
	assert_int_equal(http_body__plain(&b, 0), 0);
	assert_int_equal(b.n, 0);
	buffer__free(&b);
}

/* The text of a call with the first `from` replaced, checked. */
static enum body_fault check_with(const struct aws_ids *ids, const char *from, const char *to)
{
	struct buffer b = {0};
	char *text, *at;
	enum body_fault fault;
	int n;

	assert_int_equal(http_body__messages(&b, ids, 10), 0);
	b.p[b.n] = '\0'; /* there is room: 1 KiB is reserved for less */
	at = strstr(b.p, from);
	assert_non_null(at);
	n = asprintf(&text, "%.*s%s%s", (int)(at - b.p), b.p, to, at + strlen(from));
	assert_true(n > 0);
	fault = http_body__check(ids, text, (size_t)n);
	free(text);
	buffer__free(&b);
	return fault;
}

static void every_identifier_is_missed(void **state)
{
	struct aws_ids ids;
	char longer[AWS_ID_MAX + 2];
	int kind, nth;

	(void)state;
	/* ACCOUNT and ARN occur once, what comes twice would still be there once. */
	for (kind = 0; kind < AWS_KIND_MAX; kind++) {
		for (nth = 0; nth < AWS_PER_KIND; nth++) {
			struct buffer b = {0};
			const char *id;
			char *at;

			aws_ids__make(&ids, 9, 77);
			id = ids.id[kind][nth];
			assert_int_equal(http_body__messages(&b, &ids, 0), 0);
			b.p[b.n] = '\0';
			while ((at = strstr(b.p, id)))
				at[strlen(id) - 1] = '#';
			assert_int_equal(http_body__check(&ids, b.p, b.n), BODY_MISSING);
			buffer__free(&b);
			/* A part of something longer is not it. */
			if (kind != AWS_ARN)
				continue;
			snprintf(longer, sizeof(longer), "%s1", id);
			assert_int_equal(check_with(&ids, id, longer), BODY_MISSING);
			snprintf(longer, sizeof(longer), "x%s", id);
			assert_int_equal(check_with(&ids, id, longer), BODY_MISSING);
		}
	}
}

static void answers(void **state)
{
	static const struct {
		const char *mark; /* added to a good answer */
		enum body_fault want;
	} table[] = {
		{"", BODY_GOOD},
		{"AWS_EC2_001", BODY_MASKED},
		{"x AWS_EC2_1 y", BODY_MASKED},
		{"AWS_SECURITY_GROUP_12", BODY_MASKED},
		{"AWS_\\u0045C2_001", BODY_MASKED}, /* escaped, and yet there */
		{"AWS_AWS_EC2_001", BODY_MASKED},
		{"\\\"AWS_PUBLIC_IP_007\\\"", BODY_MASKED},
		{"AWS_EC2", BODY_GOOD},
		{"AWS_001", BODY_GOOD}, /* of no kind */
		{"AWS__001", BODY_GOOD},
		{"aws_ec2_001", BODY_GOOD},
		{"AWS_EC2_x", BODY_GOOD},
		{"AWS_", BODY_GOOD},
		{"AWS_EC2_", BODY_GOOD},
		{"\\", BODY_GOOD},
		{"\\u12", BODY_GOOD},
		{"\\uzzzz \\u00e9 \\n", BODY_GOOD},
	};
	struct aws_ids ids;
	char mark[64];
	size_t i;

	(void)state;
	aws_ids__make(&ids, 4, 4);
	for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		snprintf(mark, sizeof(mark), "Review %s", table[i].mark);
		if (check_with(&ids, "Review", mark) != table[i].want)
			fail_msg("%s", table[i].mark);
	}
	/* Encoders may write "/" as "\/", and anything as \u. */
	aws_ids__make(&ids, 4, 4);
	memcpy(ids.id[AWS_ARN][0], "arn:aws:iam::123456789012:role/a", 33);
	assert_int_equal(check_with(&ids, "role/", "role\\/"), BODY_GOOD);
	assert_int_equal(check_with(&ids, "arn:", "\\u0061rn\\u003A"), BODY_GOOD);
	assert_int_equal(check_with(&ids, "arn:", "\\\\arn:"), BODY_GOOD);
	assert_int_equal(check_with(&ids, "arn:", "\\u0062rn:"), BODY_MISSING);
	assert_int_equal(http_body__check(&ids, mark, 0), BODY_MISSING);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(identifiers_are_valid),
		cmocka_unit_test(identifiers_follow_from_the_call),
		cmocka_unit_test(body_is_a_request),
		cmocka_unit_test(every_identifier_is_missed),
		cmocka_unit_test(answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
