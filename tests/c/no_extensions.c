/* no_extensions.c: a CPU without extensions, for a program linked with --wrap=getauxval. */
#include <sys/auxv.h>

unsigned long __real_getauxval(unsigned long type);
unsigned long __wrap_getauxval(unsigned long type);

unsigned long __wrap_getauxval(unsigned long type) { return type == AT_HWCAP ? 0 : __real_getauxval(type); }
