"""Which calls there are, and how often each is made."""

import files
import methods
import problems
import runs
import studies

WEIGHTS = {  # in this order: a seed draws from it
    methods.op_make: 12, methods.op_refined: 4, methods.op_changed: 4,
    runs.op_record: 16, runs.op_record_scheme: 8, runs.op_discretization: 3, runs.op_compare: 4,
    runs.op_convergence: 3, runs.op_reference: 5, problems.op_minimize: 14, runs.op_ensemble: 8, runs.op_sweep: 3,
    studies.op_stationary: 4, methods.op_schedule: 8, methods.op_sequence: 2, methods.op_controller: 3,
    methods.op_update: 12, files.op_trajectory_file: 6, files.op_resume_file: 6, files.op_state_file: 8,
    files.op_paths_file: 4, files.op_study_file: 2, runs.op_sample: 6, runs.op_simulate: 3, runs.op_noise: 2,
    studies.op_study: 8, problems.op_problem: 5, problems.op_factory: 4, problems.op_problem_calls: 4,
    methods.op_flow: 4, methods.op_rkc: 3,
}
