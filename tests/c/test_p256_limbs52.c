/* The field of csrc/agreement/p256_ifma.c, and all that is made on it, with its two instructions in C. */
#include "p256_limbs52_in_c.inc"

#include "p256_lanes_test.inc"

int main(void) { return test("p256_limbs52"); }
