/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the role "http" sends and what it must get back: AWS identifiers that a masking gateway
 * replaces on the way out and puts back on the way in. Everything follows from the seed and the
 * call's number, so that a run can be made again. Pure: no HTTP.
 */
#ifndef HOPSCOPE_LOAD_HTTP_BODY_H
#define HOPSCOPE_LOAD_HTTP_BODY_H

#include <stddef.h>
#include <stdint.h>

/* X(constant, name): the kinds of identifiers, each in every body. */
#define AWS_KINDS(X)              \
	X(AWS_EC2, ec2)           \
	X(AWS_VPC, vpc)           \
	X(AWS_SUBNET, subnet)     \
	X(AWS_SG, security_group) \
	X(AWS_ARN, arn)           \
	X(AWS_ACCOUNT, account)   \
	X(AWS_ACCESS, access_key) \
	X(AWS_PUBLIC, public_ipv4)

enum aws_kind {
#define AWS_ENUM(id, name) id,
	AWS_KINDS(AWS_ENUM)
#undef AWS_ENUM
		AWS_KIND_MAX
};

/*
 * Of every kind one identifier that only this call has, and one out of AWS_SHARED that all calls of
 * a seed have in common: a gateway's cache meets new ones and old ones.
 */
#define AWS_PER_KIND 2
#define AWS_SHARED   1000
#define AWS_ID_MAX   80

struct aws_ids {
	char id[AWS_KIND_MAX][AWS_PER_KIND][AWS_ID_MAX];
};

void aws_ids__make(struct aws_ids *ids, uint64_t seed, uint64_t call);

/* Bytes on the heap that are used again; a zeroed one is empty. */
struct buffer {
	char *p;
	size_t n;
	size_t cap;
};

/* Room for `more` bytes behind the n there are. 0 or -ENOMEM. */
int buffer__reserve(struct buffer *b, size_t more);
void buffer__free(struct buffer *b);

/* The JSON body of a Claude messages request about `ids`, with `payload` bytes of filler. */
int http_body__messages(struct buffer *b, const struct aws_ids *ids, size_t payload);
/* `payload` bytes of filler alone. 0 or -ENOMEM, both. */
int http_body__plain(struct buffer *b, size_t payload);

enum body_fault {
	BODY_GOOD = 0,
	BODY_MISSING = 1, /* an identifier of the request is not in it */
	BODY_MASKED = 2,  /* AWS_<KIND>_<NUMBER> is in it */
};

/*
 * Judges an answer. The escapes of JSON strings are undone in place first, so that it does not
 * matter whether an encoder writes "/" or "\/".
 */
enum body_fault http_body__check(const struct aws_ids *ids, char *answer, size_t n);

#endif
