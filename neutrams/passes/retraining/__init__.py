"""The parts of ``retrain-units`` that know both graphs: teacher and units."""
