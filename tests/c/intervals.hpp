/* intervals.hpp: numbers of which only the bounds are known, so that a field's own source computes how large its limbs
 * can become.
 *
 * A test includes this, names its types after what the source calls them, and runs the source's functions on intervals.
 * An operation that could leave its type, or fall below 0, ends the program.  An interval says nothing of what two
 * numbers have in common: a - a is as wide as a - b.  No header of C++ is needed. */
#ifndef SECAGG_INTERVALS
#define SECAGG_INTERVALS

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

__extension__ typedef unsigned __int128 bound_t;

static const char *doing = "";

static void require(bool holds, const char *what) {
    if (!holds) {
        printf("FAILED: %s, %s\n", doing, what);
        exit(1);
    }
}

/* low <= x <= high, of a type of that many bits. */
template <int BITS> struct interval {
    bound_t low, high;

    interval() : low(0), high(0) {}
    interval(bound_t least, bound_t most) : low(least), high(most) {
        require(least <= most, "an interval is empty");
        require(BITS == 128 || most >> (BITS % 128) == 0, "a number does not fit its type");
    }
    explicit interval(bound_t exactly) : interval(exactly, exactly) {}

    interval operator+(const interval &b) const {
        bound_t most;
        require(!__builtin_add_overflow(high, b.high, &most), "a sum does not fit its type");
        return interval(low + b.low, most);
    }
    interval operator-(const interval &b) const {
        require(low >= b.high, "a difference may be negative");
        return interval(low - b.high, high - b.low);
    }
    interval operator<<(int by) const {
        require(high << by >> by == high, "bits are shifted out");
        return interval(low << by, high << by);
    }
    interval operator>>(int by) const { return interval(low >> by, high >> by); }
    interval operator&(const interval &mask) const {
        require(mask.low == mask.high && (mask.high & (mask.high + 1)) == 0, "a mask is no run of ones");
        return high <= mask.high ? *this : interval(0, mask.high);
    }
    interval &operator+=(const interval &b) { return *this = *this + b; }
    interval &operator&=(const interval &b) { return *this = *this & b; }
};

/* a * b of factors with at most that many bits. */
template <int BITS, int FACTOR, int WIDTH> interval<BITS> multiplied(const interval<WIDTH> &a, const interval<WIDTH> &b) {
    require(a.high >> (FACTOR - 1) <= 1 && b.high >> (FACTOR - 1) <= 1, "a factor has too many bits");
    bound_t most;
    require(!__builtin_mul_overflow(a.high, b.high, &most), "a product does not fit its type");
    return interval<BITS>(a.low * b.low, most);
}

/* Whether a lies in b. */
template <int BITS> bool is_within(const interval<BITS> &a, const interval<BITS> &b) {
    return a.low >= b.low && a.high <= b.high;
}

#endif
