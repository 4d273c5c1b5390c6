/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "load/http_body.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ONES 0xffffffffffffffffull

/* splitmix64: any two (seed, call, kind) start far from each other. */
static uint64_t random__next(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15ull);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

static uint64_t random__of(uint64_t a, uint64_t b)
{
	uint64_t x = a;

	x = random__next(&x) ^ b;
	return random__next(&x);
}

/* PREFIX- and 17 hex digits, or 8 as in identifiers of before 2016. */
static void aws_id__resource(char *out, const char *prefix, bool old, uint64_t r)
{
	if (old)
		snprintf(out, AWS_ID_MAX, "%s-%08x", prefix, (unsigned int)(r >> 32));
	else
		snprintf(out, AWS_ID_MAX, "%s-0%016llx", prefix, (unsigned long long)r);
}

static void aws_id__arn(char *out, uint64_t r)
{
	static const char *const regions[] = {"us-east-1", "eu-west-1", "ap-northeast-2"};
	unsigned long long account = r % 1000000000000ull;
	unsigned int name = (unsigned int)(r >> 32);

	switch (r % 3) {
	case 0:
		snprintf(out, AWS_ID_MAX, "arn:aws:iam::%012llu:role/deploy-%08x", account, name);
		break;
	case 1:
		snprintf(out, AWS_ID_MAX, "arn:aws:lambda:%s:%012llu:function:report-%08x",
			 regions[r / 3 % 3], account, name);
		break;
	default: snprintf(out, AWS_ID_MAX, "arn:aws:s3:::backup-%08x/daily", name); break;
	}
}

static void aws_id__access_key(char *out, bool temporary, uint64_t r)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
	int i;

	memcpy(out, temporary ? "ASIA" : "AKIA", 4);
	for (i = 4; i < 20; i++)
		out[i] = alphabet[random__next(&r) % (sizeof(alphabet) - 1)];
	out[20] = '\0';
}

/* The networks that are nobody's on the Internet: RFC 6890, and multicast and above. */
static bool ipv4__public(uint32_t a)
{
	static const struct {
		uint32_t net;
		unsigned int bits;
	} special[] = {
		{0x00000000, 8},  {0x0a000000, 8},  {0x64400000, 10}, {0x7f000000, 8},
		{0xa9fe0000, 16}, {0xac100000, 12}, {0xc0000000, 24}, {0xc0000200, 24},
		{0xc0586300, 24}, {0xc0a80000, 16}, {0xc6120000, 15}, {0xc6336400, 24},
		{0xcb007100, 24}, {0xe0000000, 3},
	};
	size_t i;

	for (i = 0; i < sizeof(special) / sizeof(special[0]); i++) {
		if ((a ^ special[i].net) >> (32 - special[i].bits) == 0)
			return false;
	}
	return true;
}

static void aws_id__public_ip(char *out, uint64_t r)
{
	uint32_t a;

	do
		a = (uint32_t)random__next(&r);
	while (!ipv4__public(a));
	snprintf(out, AWS_ID_MAX, "%u.%u.%u.%u", a >> 24, a >> 16 & 255, a >> 8 & 255, a & 255);
}

static void aws_id__make(char *out, enum aws_kind kind, int nth, uint64_t r)
{
	switch (kind) {
	case AWS_EC2: aws_id__resource(out, "i", nth == 1, r); break;
	case AWS_VPC: aws_id__resource(out, "vpc", nth == 1, r); break;
	case AWS_SUBNET: aws_id__resource(out, "subnet", nth == 1, r); break;
	case AWS_SG: aws_id__resource(out, "sg", nth == 1, r); break;
	case AWS_ARN: aws_id__arn(out, r); break;
	case AWS_ACCOUNT:
		snprintf(out, AWS_ID_MAX, "%012llu", (unsigned long long)(r % 1000000000000ull));
		break;
	case AWS_ACCESS: aws_id__access_key(out, nth == 1, r); break;
	case AWS_PUBLIC: aws_id__public_ip(out, r); break;
	case AWS_KIND_MAX: break;
	}
}

void aws_ids__make(struct aws_ids *ids, uint64_t seed, uint64_t call)
{
	uint64_t own = random__of(seed, call);
	uint64_t shared = random__of(seed, ONES - call % AWS_SHARED);
	int kind;

	for (kind = 0; kind < AWS_KIND_MAX; kind++) {
		aws_id__make(ids->id[kind][0], kind, 0, random__of(own, (uint64_t)kind));
		aws_id__make(ids->id[kind][1], kind, 1, random__of(shared, (uint64_t)kind));
	}
}

int buffer__reserve(struct buffer *b, size_t more)
{
	size_t cap = b->cap ? b->cap : 1024;
	char *p;

	while (cap < b->n + more)
		cap *= 2;
	if (cap == b->cap)
		return 0;
	p = realloc(b->p, cap);
	if (!p)
		return -ENOMEM;
	b->p = p;
	b->cap = cap;
	return 0;
}

void buffer__free(struct buffer *b)
{
	free(b->p);
	memset(b, 0, sizeof(*b));
}

/* Words that no masker and no JSON encoder has an opinion on. The room is there. */
static void buffer__fill(struct buffer *b, size_t payload)
{
	static const char words[] = "the quick brown fox jumps over a lazy dog while we look on ";
	size_t n;

	for (; payload; payload -= n) {
		n = payload < sizeof(words) - 1 ? payload : sizeof(words) - 1;
		memcpy(b->p + b->n, words, n);
		b->n += n;
	}
}

int http_body__plain(struct buffer *b, size_t payload)
{
	b->n = 0;
	if (buffer__reserve(b, payload + 1))
		return -ENOMEM;
	buffer__fill(b, payload);
	return 0;
}

int http_body__messages(struct buffer *b, const struct aws_ids *ids, size_t payload)
{
	static const char end[] = "\"}]}";

	b->n = 0;
	if (buffer__reserve(b, 1024 + sizeof(*ids) * 2 + payload + sizeof(end)))
		return -ENOMEM;
	/* Some of the identifiers come twice, as they do in a ticket. */
	b->n = (size_t)sprintf(
		b->p,
		"{\"model\":\"claude-3-5-sonnet-20241022\",\"max_tokens\":1024,\"messages\":"
		"[{\"role\":\"user\",\"content\":\"Review this incident. Instance %s (replaces %s) "
		"in "
		"%s, subnet %s, security group %s, cannot reach %s in %s, subnet %s, security "
		"group "
		"%s. It assumes %s from account %s with key %s; %s of account %s is denied with "
		"key "
		"%s. Seen from %s and %s. Compare %s with %s, and list what in %s may still use "
		"%s. ",
		ids->id[AWS_EC2][0], ids->id[AWS_EC2][1], ids->id[AWS_VPC][0],
		ids->id[AWS_SUBNET][0], ids->id[AWS_SG][0], ids->id[AWS_EC2][0],
		ids->id[AWS_VPC][1], ids->id[AWS_SUBNET][1], ids->id[AWS_SG][1],
		ids->id[AWS_ARN][0], ids->id[AWS_ACCOUNT][0], ids->id[AWS_ACCESS][0],
		ids->id[AWS_ARN][1], ids->id[AWS_ACCOUNT][1], ids->id[AWS_ACCESS][1],
		ids->id[AWS_PUBLIC][0], ids->id[AWS_PUBLIC][1], ids->id[AWS_SG][0],
		ids->id[AWS_SG][1], ids->id[AWS_VPC][0], ids->id[AWS_ACCESS][0]);
	buffer__fill(b, payload);
	memcpy(b->p + b->n, end, sizeof(end) - 1);
	b->n += sizeof(end) - 1;
	return 0;
}

static int hex4(const char *p, const char *end)
{
	char digits[5] = {0};
	char *stop;
	long v;

	if (end - p < 4)
		return -1;
	memcpy(digits, p, 4);
	v = isxdigit((unsigned char)digits[0]) ? strtol(digits, &stop, 16) : -1;
	return v >= 0 && stop == digits + 4 ? (int)v : -1;
}

/* Undoes the escapes of JSON strings in place. Returns the new length. */
static size_t json__unescape(char *text, size_t n)
{
	static const char escape[] = "bfnrt", plain[] = "\b\f\n\r\t";
	const char *from = memchr(text, '\\', n), *end = text + n, *known;
	char *to = text + (from ? from - text : (ptrdiff_t)n);
	int code;

	while (from && from < end) {
		if (*from != '\\' || from + 1 == end) {
			*to++ = *from++;
			continue;
		}
		code = from[1] == 'u' ? hex4(from + 2, end) : -1;
		known = memchr(escape, from[1], sizeof(escape) - 1);
		if (code >= 0)
			*to++ = code < 128 ? (char)code : '?'; /* no identifier holds one */
		else
			*to++ = known ? plain[known - escape] : from[1];
		from += code >= 0 ? 6 : 2;
	}
	return (size_t)(to - text);
}

/* `id` is in the text, and not as a part of something longer. */
static bool text__holds(const char *text, size_t n, const char *id)
{
	size_t len = strlen(id);
	const char *p = text, *end = text + n;

	while ((p = memmem(p, (size_t)(end - p), id, len))) {
		bool starts = p == text || !isalnum((unsigned char)p[-1]);
		bool ends = p + len == end || !isalnum((unsigned char)p[len]);

		if (starts && ends)
			return true;
		p++;
	}
	return false;
}

/* AWS_[A-Z0-9_]+_[0-9]+: masks of kinds in two words, too. */
static bool text__masked(const char *text, size_t n)
{
	const char *p = text, *end = text + n, *kind;

	while ((p = memmem(p, (size_t)(end - p), "AWS_", 4))) {
		p += 4;
		kind = p;
		for (; p < end &&
		       (isupper((unsigned char)*p) || isdigit((unsigned char)*p) || *p == '_');
		     p++) {
			if (*p == '_' && p > kind && p + 1 < end && isdigit((unsigned char)p[1]))
				return true;
		}
	}
	return false;
}

enum body_fault http_body__check(const struct aws_ids *ids, char *answer, size_t n)
{
	int kind, nth;

	n = n ? json__unescape(answer, n) : 0;
	if (n && text__masked(answer, n))
		return BODY_MASKED;
	for (kind = 0; kind < AWS_KIND_MAX; kind++) {
		for (nth = 0; nth < AWS_PER_KIND; nth++) {
			if (!n || !text__holds(answer, n, ids->id[kind][nth]))
				return BODY_MISSING;
		}
	}
	return BODY_GOOD;
}
