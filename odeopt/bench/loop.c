/* The yardstick of `odeopt bench`: optimizer loops on the plane Rosenbrock function, written out.
   usage: loop STEPS; prints a line "name nanoseconds-a-step x0" each, CPU time.
   "checked" does in every step what the recorder does: test f and the gradient norm, add up flow
   time with compensation, look whether a record is due. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec + 1e-9 * t.tv_nsec;
}

static double rosenbrock(const double *x, double *g) {
    double a = 1.0 - x[0], b = x[1] - x[0] * x[0];
    g[0] = -2.0 * a - 400.0 * x[0] * b;
    g[1] = 200.0 * b;
    return a * a + 100.0 * b * b;
}

typedef struct { double lr, new1, new2, eps, m[2], v[2], q1, q2; } state;

static double descend(state *s, double *x, const double *g) {
    for (int i = 0; i < 2; i++) x[i] = x[i] - s->lr * g[i];
    return s->lr;
}

static double move(state *s, double *x, const double *g) {
    s->q1 += s->new1 * (1.0 - s->q1);
    s->q2 += s->new2 * (1.0 - s->q2);
    double step = s->lr / s->q1, root = 1.0 / sqrt(s->q2), old1 = 1.0 - s->new1, old2 = 1.0 - s->new2;
    for (int i = 0; i < 2; i++) {
        s->m[i] = old1 * s->m[i] + s->new1 * g[i];
        s->v[i] = old2 * s->v[i] + s->new2 * g[i] * g[i];
        double below = sqrt(s->v[i]) * root + s->eps;
        x[i] -= below != 0.0 ? step * s->m[i] / below : 0.0;
    }
    return s->lr;
}

#define PLAIN(name, update)                                                     \
    static void name(long steps) {                                              \
        state s = {1e-4, 0.1, 0.001, 1e-8, {0, 0}, {0, 0}, 0, 0};               \
        double x[2] = {-1.2, 1.0}, g[2], begin = now();                         \
        for (long k = 0; k < steps; k++) { rosenbrock(x, g); update(&s, x, g); } \
        printf(#name " %.4f %.17g\n", (now() - begin) / steps * 1e9, x[0]);     \
    }

#define CHECKED(name, update)                                                            \
    static void name(long steps) {                                                       \
        state s = {1e-4, 0.1, 0.001, 1e-8, {0, 0}, {0, 0}, 0, 0};                        \
        double x[2] = {-1.2, 1.0}, g[2], t = 0, carry = 0, sum = 0, begin = now();       \
        long due = 0;                                                                    \
        for (long k = 0; k < steps; k++) {                                               \
            double f = rosenbrock(x, g), norm = g[0] * g[0] + g[1] * g[1];               \
            if (k == due || !(norm > 0) || !(norm + fabs(f) < INFINITY)) {               \
                sum += f;                                                                \
                due += 1000;                                                             \
            }                                                                            \
            double dt = update(&s, x, g), new = t + dt, moved = new - t;                 \
            carry += (t - (new - moved)) + (dt - moved);                                 \
            t = new;                                                                     \
            if (!(dt > 0)) break;                                                        \
        }                                                                                \
        printf(#name " %.4f %.17g %g\n", (now() - begin) / steps * 1e9, x[0], sum + t + carry); \
    }

PLAIN(gradientdescent, descend)
PLAIN(adam, move)
CHECKED(gradientdescent_checked, descend)
CHECKED(adam_checked, move)

int main(int argc, char **argv) {
    long steps = argc > 1 ? atol(argv[1]) : 10000000;
    gradientdescent(steps);
    adam(steps);
    gradientdescent_checked(steps);
    adam_checked(steps);
    return 0;
}
