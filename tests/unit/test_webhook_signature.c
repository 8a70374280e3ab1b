#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "fcgi/webhook_signature.h"

/* The example of the Standard Webhooks specification, 1.0.0. */
#define SECRET "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define ID "msg_p5jXN8AQM9LWM0D4loKWxJek"
#define TIME "1614265330"
#define BODY "{\"test\": 2432232314}"
#define SIGNATURE "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
#define OTHER "v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

static int64_t ahead_s; /* as the last webhook_verify() said */

static enum webhook_verdict verify_at(const char *secrets, const char *id, const char *time, const char *signatures,
                                      const char *body, int64_t now_s)
{
    struct webhook_keys *keys = NULL;
    assert_int_equal(webhook_keys_new(secrets, &keys, NULL), STATUS_OK);
    enum webhook_verdict verdict = webhook_verify(keys, id, time, signatures, body, strlen(body),
                                                  (struct instant){now_s * US_PER_SECOND}, 300, &ahead_s);
    webhook_keys_free(&keys);
    return verdict;
}

static void test_verify_the_specifications_example(void **state)
{
    (void)state;
    assert_int_equal(verify_at(SECRET, ID, TIME, SIGNATURE, BODY, 1614265330), WEBHOOK_GOOD);
    assert_int_equal(verify_at("v1," SECRET, ID, TIME, SIGNATURE, BODY, 1614265330), WEBHOOK_GOOD);
}

static void test_verify_tells_how_far_off_the_clock_is(void **state)
{
    (void)state;
    verify_at(SECRET, ID, TIME, SIGNATURE, BODY, 1614265330 - 7);
    assert_int_equal(ahead_s, 7);
    assert_int_equal(verify_at(SECRET, ID, TIME, SIGNATURE, BODY, 1614265330 + 3600), WEBHOOK_STALE);
    assert_int_equal(ahead_s, -3600);
    assert_int_equal(verify_at(SECRET, ID, TIME, OTHER, BODY, 1614265330 + 3600), WEBHOOK_FORGED);
    assert_int_equal(ahead_s, 0);
}

static void test_verify_any_signature_by_any_secret(void **state)
{
    static const char other[] = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

    (void)state;
    assert_int_equal(verify_at("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA, " SECRET, ID, TIME, OTHER " v1a,xyz " SIGNATURE,
                               BODY, 1614265330),
                     WEBHOOK_GOOD);
    assert_int_equal(verify_at(other, ID, TIME, SIGNATURE, BODY, 1614265330), WEBHOOK_FORGED);
    assert_int_equal(verify_at("", ID, TIME, SIGNATURE, BODY, 1614265330), WEBHOOK_FORGED);
}

static void test_verify_refusals(void **state)
{
    static const struct {
        const char *id, *time, *signatures, *body;
        int64_t now_s;
        enum webhook_verdict expected;
    } cases[] = {
        {ID, TIME, SIGNATURE, BODY, 1614265630, WEBHOOK_GOOD},
        {ID, TIME, SIGNATURE, BODY, 1614265631, WEBHOOK_STALE},
        {ID, TIME, SIGNATURE, BODY, 1614265029, WEBHOOK_STALE},
        {ID, TIME, SIGNATURE, BODY " ", 1614265330, WEBHOOK_FORGED},
        {ID, "1614265331", SIGNATURE, BODY, 1614265330, WEBHOOK_FORGED},
        {ID, TIME, OTHER, BODY, 1614265330, WEBHOOK_FORGED},
        {ID, TIME, NULL, BODY, 1614265330, WEBHOOK_UNSIGNED},
        {ID, TIME, "", BODY, 1614265330, WEBHOOK_UNSIGNED},
        {ID, TIME, "v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", BODY, 1614265330, WEBHOOK_FORGED},
        {ID, TIME, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE", BODY, 1614265330, WEBHOOK_FORGED},
        {NULL, TIME, SIGNATURE, BODY, 1614265330, WEBHOOK_BAD_ID},
        {"a.b", TIME, SIGNATURE, BODY, 1614265330, WEBHOOK_BAD_ID},
        {"", TIME, SIGNATURE, BODY, 1614265330, WEBHOOK_BAD_ID},
        {ID, "+1614265330", SIGNATURE, BODY, 1614265330, WEBHOOK_BAD_TIME},
        {ID, "999999999999", SIGNATURE, BODY, 1614265330, WEBHOOK_BAD_TIME},
        {ID, "", SIGNATURE, BODY, 1614265330, WEBHOOK_BAD_TIME},
        {ID, NULL, SIGNATURE, BODY, 1614265330, WEBHOOK_BAD_TIME},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (verify_at(SECRET, cases[i].id, cases[i].time, cases[i].signatures, cases[i].body, cases[i].now_s) !=
            cases[i].expected)
            fail_msg("case %zu", i);
}

static void test_keys_refuse_weak_or_damaged_secrets(void **state)
{
    static const char *const bad[] = {"secret", "whsec_", "whsec_!!!!", "whsec_c2hvcnQ=", SECRET " x"};
    struct webhook_keys *keys = NULL;
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (webhook_keys_new(bad[i], &keys, &err) != STATUS_INVALID)
            fail_msg("case %zu: %s", i, bad[i]);
        assert_non_null(strstr(err.text, "WEBHOOK_SECRETS"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_verify_the_specifications_example),
        cmocka_unit_test(test_verify_tells_how_far_off_the_clock_is),
        cmocka_unit_test(test_verify_any_signature_by_any_secret),
        cmocka_unit_test(test_verify_refusals),
        cmocka_unit_test(test_keys_refuse_weak_or_damaged_secrets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
