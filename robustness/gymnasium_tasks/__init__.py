"""Uncertainty sets on Gymnasium's MuJoCo tasks: a policy's return over a grid of frictions, masses or forces, and where it is least.

The protocol is that of RRLS (Zouitine et al., arXiv 2406.08406) with its sets, which go back to M2TD3 (Tanabe et al., arXiv 2211.03413)
and RARL (Pinto et al., arXiv 1703.02702). What is otherwise here, and why:

- *Friction acts.* MuJoCo takes the larger of two geoms' frictions, so that a floor's is dead below that of the foot on it (2.0 for the
  Hopper). Here `friction` is set on every geom, and is the coefficient of every contact.
- *Both ends are tested.* A grid of n points has low and high among them, and every corner; steps of (high − low)/n never reach high.
- *Inertia goes with mass.* A body of another mass has the same shape and another density; what MuJoCo derives from mass is derived anew.
- *Nothing is left over.* Every reset starts from the pristine model, and forces are applied after it, which clears them.
- *One seed.* Every start follows from (seed, stage, cell, episode).
- *No dead axis.* `verify` plays the same actions at every point of an axis; forces across the plane of a planar robot are not in the sets.
- *An instability is seen.* MuJoCo starts anew, silently, when accelerations explode; here the episode ends there, and is counted.
"""
