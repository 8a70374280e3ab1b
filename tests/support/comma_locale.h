/* A locale that writes 1.5 as "1,5", built for the test: no system has to have one installed. */
#ifndef PNLCACHE_TESTS_SUPPORT_COMMA_LOCALE_H
#define PNLCACHE_TESTS_SUPPORT_COMMA_LOCALE_H

/* Makes it the process's locale; fails the test when printf() then still writes a point. */
void comma_locale_begin(void);
/* Back to "C". */
void comma_locale_end(void);

#endif
