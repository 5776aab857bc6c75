#!/bin/bash
# A molecular dynamics job that was written to be fetched and run, in segments: a particle on a spring.
# It does not know who runs it: all that it needs for a restart is a folder that outlives it.
#
#   usage: myjob.sh [segments] [seconds a segment]
set -euo pipefail

date
echo "Args: $*"
echo "This is my simple test job!"
echo "jobId: ${AWS_BATCH_JOB_ID:-none}"
segments=${1:-15}
pause=${2:-0.3}

# What an earlier attempt had reached, or the beginning.
cd "$CHECKPOINT_DIR"
segment=0
[ -e state ] && read -r segment _ < state

while [ "$segment" -lt "$segments" ]; do
    # 1,000 steps of velocity Verlet from the last state; all 17 digits, so that nothing is rounded in between.
    awk -v steps=1000 -v state="state.tmp" -v segment="$segment" '
        FNR == NR { parameter[$1] = $2; next }
        { x = $2; v = $3; known = 1 }
        END {
            if (!known) { x = parameter["x"]; v = parameter["v"] }
            k = parameter["k"]; mass = parameter["mass"]; dt = parameter["dt"]
            for (step = 1; step <= steps; step++) {
                v -= dt / 2 * k * x / mass
                x += dt * v
                v -= dt / 2 * k * x / mass
                if (step % 100 == 0)
                    printf "%d,%.6f,%.9f\n", segment * steps + step, x, (mass * v * v + k * x * x) / 2
            }
            printf "%d %.17g %.17g\n", segment + 1, x, v > state
        }' "$INPUT" "$([ -e state ] && echo state || echo /dev/null)" > trajectory.tmp
    sleep "$pause"
    # Written elsewhere, then renamed: whoever looks at the folder never sees half a file. The state comes last.
    mv trajectory.tmp "trajectory.$segment"
    mv state.tmp state
    segment=$((segment + 1))
    echo "segment $segment of $segments"
done

{
    echo "step,x,energy"
    for ((each = 0; each < segments; each++)); do cat "trajectory.$each"; done
} > "$OUTPUT_DIR/trajectory.csv"
